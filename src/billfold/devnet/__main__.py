"""`python -m billfold.devnet bitcoin --port 18443 --folder …`: a chain of this machine's own, until it is told to end.

A chain's package has a class `Local`, which takes the folder.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from pathlib import Path

from billfold.devnet import serving

CHAINS = ("bitcoin", "ethereum", "solana", "stellar")


def main(arguments: list[str] | None = None) -> int:
    """Run one chain; 1 if it can't be."""
    asked = _parser().parse_args(arguments)
    # Each brings an engine of many megabytes, of which one is wanted.
    devnet: serving.Devnet = importlib.import_module(f"billfold.devnet.{asked.chain}").Local(asked.folder)
    try:
        asyncio.run(serving.serve(devnet, folder=asked.folder, port=asked.port, block_s=asked.block_s))
    except serving.DevnetError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 - a program's last word
        return 1
    except OSError as error:
        print(f"127.0.0.1:{asked.port} or {asked.folder}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m billfold.devnet", description="A chain of this machine's own.")
    parser.add_argument("chain", choices=CHAINS)
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0: any that is free, said when ready")
    parser.add_argument("--folder", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--block-s", type=_seconds, help="seconds from block to block; 0: by hand alone")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:  # noqa: PLR2004 - whoever waits an hour for a block of play money has mistyped
        raise argparse.ArgumentTypeError("from 0 to 3600")
    return value


if __name__ == "__main__":
    sys.exit(main())
