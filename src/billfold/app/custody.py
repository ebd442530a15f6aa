"""The chains as the settings tell them, for custody. What speaks to one is loaded when it is asked."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import cast

from billfold.app import late_chains, settings
from billfold.chains.nodes import Nodes
from billfold.chains.outside_port import Outside
from billfold.custody import Served
from billfold.custody.contracts import Band, ReconcilingTerms, Terms, Tier, TreasuryTerms, WithdrawalTerms
from billfold.kernel import money

#: How many transactions of one source wait for a block at a time: geth keeps 64 of them, a ledger of Stellar takes one;
#: elsewhere it is as many as fit some blocks.
_LIVING_MAX = {"bitcoin": 100, "ethereum": 60, "solana": 200, "stellar": 1}
#: What a channel is given, where a chain has such a thing. Stellar asks two base reserves for an account, one lumen in
#: all; that may be raised by a vote.
_CHANNEL_RESERVE = {"stellar": "2"}
#: Asset, from what amount on, flat amount, per mille.
_SERVICE_FEE = re.compile(r"([A-Z0-9._-]{2,20})(?:>([0-9]+(?:\.[0-9]+)?))?=([0-9]+(?:\.[0-9]+)?)(?:\+([0-9]{1,3}))?")
#: How Bitcoin counts what is offered: satoshi for 1,000 virtual bytes.
_SAT_PER_KVB = "sat_per_kvb"
#: Asset, the least, the target, the most.
_BAND = re.compile(r"([A-Z0-9._-]{2,20})=([0-9.]+%?)/([0-9.]+%?)/([0-9.]+%?)")
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


def tokens(section: settings.Chain) -> list[str]:
    """The tokens of a chain that count."""
    return _listed(section.tokens or "")


def _served(name: str, section: settings.Chain, urls: str) -> Served:
    nodes = Nodes(
        network=section.network,
        urls=_listed(urls),
        quorum=section.quorum,
        tokens=tokens(section),
        rate_max=section.fee_rate_max * 1_000 if isinstance(section, settings.Bitcoin) else None,
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
    showing = import_module(f"billfold.chains.{name}.showing")
    # What it takes is loaded only where it is used.
    outside = partial(import_module, f"billfold.chains.{name}.outside") if section.keys == "elsewhere" else None
    return Served(
        chain=chain,
        terms=terms,
        showing=showing,
        withdrawing=_withdrawing(name, section),
        reconciling=ReconcilingTerms(
            every_s=section.reconcile_seconds, bound=_minimum(name, section.break_bound, setting="break_bound")
        ),
        outside=cast("Callable[[], Outside] | None", outside),
    )


def _withdrawing(name: str, section: settings.Chain) -> WithdrawalTerms:
    own = section.network == "sandbox"
    return WithdrawalTerms(
        confirmations=section.release_after,
        address_wait=timedelta() if own else timedelta(hours=section.address_wait_hours),
        batch_max=section.batch_max,
        house_fee_max=section.house_fee_max,
        living_max=_LIVING_MAX[name],
        channels=section.channels if isinstance(section, settings.Stellar) and section.keys == "signer" else 0,
        channel_reserve=_CHANNEL_RESERVE.get(name, ""),
        durable_nonces=section.durable_nonces
        if isinstance(section, settings.Solana) and section.keys == "elsewhere"
        else 0,
        sweep_worth=section.sweep_worth,
        sweep_minimum=_minimum(name, section.sweep_minimum, setting="sweep_minimum"),
        service_fees=_service_fees(name, section.service_fees),
        minimum=_minimum(name, section.withdrawal_minimum, setting="withdrawal_minimum"),
        treasury=_treasury(name, section),
    )


def _treasury(name: str, section: settings.Chain) -> TreasuryTerms:
    if section.hot_bands is not None and section.warm is None:
        raise settings.SettingInvalid(f"{name}.hot_bands is wrong: {name}.warm is not set.")
    warm, bands = section.warm, _bands(name, section.hot_bands)
    if not isinstance(section, settings.Bitcoin):
        return TreasuryTerms(warm=warm, bands=bands)
    try:
        money.thresholds(f"BTC={section.merge_below}")
    except ValueError as error:
        raise settings.SettingInvalid(f"{name}.merge_below is wrong: it is no amount.") from error
    return TreasuryTerms(
        warm=warm,
        bands=bands,
        merge_above=section.merge_above,
        merge_below=section.merge_below,
        merge_rate={_SAT_PER_KVB: section.merge_rate * 1_000} if section.merge_rate else {},
    )


def _bands(name: str, text: str | None) -> dict[str, Band]:
    found: dict[str, Band] = {}
    for part in _listed(text or ""):
        match = _BAND.fullmatch(part)
        if match is None or match[1] in found:
            raise settings.SettingInvalid(f"{name}.hot_bands is wrong: {part!r} is not such as BTC=0.5/1/2.")
        asset, low, target, high = match.groups()
        try:
            found[asset] = Band(low=low, target=target, high=high)
        except ValueError as error:
            raise settings.SettingInvalid(f"{name}.hot_bands is wrong: of {part!r} {error}.") from error
    return found


def _service_fees(name: str, text: str | None) -> dict[str, list[Tier]]:
    found: dict[str, list[Tier]] = {}
    for part in _listed(text or ""):
        match = _SERVICE_FEE.fullmatch(part)
        if match is None:
            raise settings.SettingInvalid(f"{name}.service_fees is wrong: {part!r} is not such as BTC=0.0001+2.")
        asset, above, flat, per_mille = match.groups()
        tier = Tier(above=above or "0", flat=flat, per_mille=int(per_mille or 0))
        found.setdefault(asset, []).append(tier)
    return found


def _minimum(name: str, text: str | None, *, setting: str = "minimum") -> dict[str, str]:
    try:
        return {} if text is None else money.thresholds(text)
    except ValueError as error:
        raise settings.SettingInvalid(f"{name}.{setting} is wrong: {error}.") from error


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
