"""`python -m billfold.devnet.proxy --port PORT --to URL`: a proxy until Ctrl-C."""

import argparse
import asyncio
import contextlib

from billfold.devnet.proxy import FaultProxy


async def _run(to: str, port: int) -> None:
    async with FaultProxy(to, port=port) as proxy:
        print(f"proxy is ready at {proxy.url}", flush=True)  # noqa: T201 - told to whoever started it
        await asyncio.Event().wait()


parser = argparse.ArgumentParser(prog="billfold.devnet.proxy", description="Lets things go wrong before a node.")
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--to", required=True, metavar="URL")
arguments = parser.parse_args()
with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(_run(arguments.to, arguments.port))
