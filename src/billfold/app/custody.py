"""The chains as the settings tell them, for custody. What speaks to one is loaded when it is asked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from importlib import import_module

from billfold.app import late_chains, settings
from billfold.chains.nodes import Nodes
from billfold.custody import Served
from billfold.custody.contracts import Terms
from billfold.kernel import money

#: In the order in which they are listed.
CHAINS = ("bitcoin", "ethereum", "solana", "stellar")


@contextlib.asynccontextmanager
async def served(tree: settings.Settings) -> AsyncIterator[Sequence[Served]]:
    """The chains that have nodes, until the block ends. Nothing is asked of a node yet.

    Raises:
        SettingInvalid: a setting of a chain can't be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for name in CHAINS:
            section: settings.Chain = getattr(tree, name)
            if section.urls is not None:
                one = _served(name, section, section.urls)
                stack.push_async_callback(one.chain.close)
                found.append(one)
        yield found


def _served(name: str, section: settings.Chain, urls: str) -> Served:
    nodes = Nodes(
        network=section.network,
        urls=_listed(urls),
        quorum=section.quorum,
        tokens=_listed(section.tokens or ""),
    )
    if section.quorum > len(nodes.urls):
        raise settings.SettingInvalid(f"{name}.quorum is wrong: there are only {len(nodes.urls)} nodes.")
    if section.release_after < section.credit_after:
        raise settings.SettingInvalid(f"{name}.release_after is wrong: it is less than {name}.credit_after.")
    terms = Terms(
        credit_after=section.credit_after,
        release_after=section.release_after,
        reorg_limit=section.reorg_limit,
        minimum=_minimum(name, section.minimum),
    )
    chain = late_chains.open(name, nodes)
    return Served(chain=chain, terms=terms, showing=import_module(f"billfold.chains.{name}.showing"))


def _minimum(name: str, text: str | None) -> dict[str, str]:
    try:
        return {} if text is None else money.thresholds(text)
    except ValueError as error:
        raise settings.SettingInvalid(f"{name}.minimum is wrong: {error}.") from error


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
