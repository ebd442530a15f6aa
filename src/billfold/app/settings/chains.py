"""The chains that custody serves: the nodes of each, and what is asked of its deposits.

One without nodes is not served.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from billfold.app.settings.section import Secret, Section
from billfold.chains.port import Network

#: Confirmations of any chain are within this; more would be a mistake.
_CONFIRMATIONS = msgspec.Meta(ge=1, le=10_000)


class Chain(Section, frozen=True, kw_only=True):
    """A chain."""

    #: The interfaces of its nodes, with credentials where they ask for any, separated by commas. Not set: the chain is
    #: not served.
    urls: Secret | None = None
    #: That with money in it, the public one for tests, or one of this machine's own.
    network: Network = "main"
    #: So many of the nodes must say the same of what decides about money.
    quorum: Annotated[int, msgspec.Meta(ge=1, le=20)] = 1
    #: Contracts, mints, or CODE:ISSUER of the tokens that count, separated by commas. Each must be an asset of the
    #: ledger, too.
    tokens: str | None = None
    #: A deposit is credited with so many confirmations: from there on its owner moves it inside the house.
    credit_after: Annotated[int, _CONFIRMATIONS] = 1
    #: With so many it may leave on a chain again. Not less than `credit_after`.
    release_after: Annotated[int, _CONFIRMATIONS] = 1
    #: The least that is credited at once, by asset, such as ETH=0.001,USDC=1. Less waits until the sum passes it.
    minimum: str | None = None
    #: A chain that replaces more blocks than this stops the watching of it, until an operator looks.
    reorg_limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100

    #: Where its keys are: the signer has them, or somebody else, who signs what is handed out.
    keys: Literal["signer", "elsewhere"] = "signer"
    #: A withdrawal to an address that a wallet has never named waits so many hours, unless its owner confirms it by a
    #: factor. On a network of this machine's own nothing waits.
    address_wait_hours: Annotated[int, msgspec.Meta(ge=0, le=24 * 30)] = 24
    #: The least that is sent out, by asset, such as BTC=0.0001.
    withdrawal_minimum: str | None = None
    #: What the house takes of a withdrawal: a flat amount, so many per mille, from an amount on. Separated by commas,
    #: such as BTC=0.0001+2,BTC>1=0.0005+1.
    service_fees: str | None = None
    #: The most that the house pays for the network fee of a transaction with a token, in the chain's own coin.
    house_fee_max: str = "0.01"
    #: Deposits of Ethereum and Solana are moved to where withdrawals are paid from, when they are more than so many
    #: times the fee of that.
    sweep_worth: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10
    #: Of Ethereum's and Solana's tokens, by asset, such as USDC=50: less is not moved, and of tokens that are not named
    #: nothing is.
    sweep_minimum: str | None = None
    #: An address of your own, whose keys are elsewhere: where goes what is too much at the address that withdrawals are
    #: paid from. The signer has to know it, too.
    warm: str | None = None
    #: How much lies ready to be sent out, by asset: the least, what it is brought to, and the most, as amounts or in
    #: per cent of all that is held, such as BTC=0.5/1/2 or USDC=5%/10%/20%. Takes a warm address.
    hot_bands: str | None = None
    #: So many payments of Bitcoin share a transaction at most.
    batch_max: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50

    #: What the chain holds is compared with what the ledger owes at most every so many seconds, while blocks come.
    reconcile_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 30
    #: A difference that nobody can explain stops withdrawals when it is above this, by asset, such as ETH=0.01. Of
    #: assets that are not named any difference does.
    break_bound: str | None = None


class Bitcoin(Chain, frozen=True, kw_only=True):
    """Bitcoin, by the JSON-RPC of Bitcoin Core or btcd."""

    #: A deposit is credited with so many confirmations: from there on its owner moves it inside the house.
    credit_after: Annotated[int, _CONFIRMATIONS] = 2
    #: With so many it may leave on a chain again. Not less than `credit_after`.
    release_after: Annotated[int, _CONFIRMATIONS] = 6

    #: The most that is offered for a place in a block, in satoshi for a virtual byte: what costs more waits.
    fee_rate_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000

    #: When there are more coins of less than `merge_below` than this, they are made into one, up to 100 at a time.
    merge_above: Annotated[int, msgspec.Meta(ge=2, le=100_000)] = 50
    #: What is less than this is a small coin.
    merge_below: str = "0.01"
    #: Coins are merged when the slowest place in a block costs no more than so many satoshi for a virtual byte; 0 is
    #: never.
    merge_rate: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 3


class Ethereum(Chain, frozen=True, kw_only=True):
    """Ethereum, by the JSON-RPC of any of its nodes."""

    #: A deposit is credited with so many confirmations: from there on its owner moves it inside the house.
    credit_after: Annotated[int, _CONFIRMATIONS] = 12
    #: With so many it may leave on a chain again. Not less than `credit_after`.
    release_after: Annotated[int, _CONFIRMATIONS] = 32


class Solana(Chain, frozen=True, kw_only=True):
    """Solana, by the JSON-RPC of its nodes. Confirmations are slots."""

    #: With so many it may leave on a chain again. Not less than `credit_after`.
    release_after: Annotated[int, _CONFIRMATIONS] = 32

    #: Where keys are elsewhere, so many withdrawals at a time are handed out with a durable nonce: they stay good until
    #: somebody signs. The account of each costs the house 0.00144768 SOL once. Others are to be signed within a minute.
    durable_nonces: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0


class Stellar(Chain, frozen=True, kw_only=True):
    """Stellar, by Horizon. What a ledger of it has is final."""

    #: So many channels are opened at the start, if there are fewer: each gives one withdrawal at a time its number, and
    #: costs the house two lumens for as long as it is there. Without one a ledger takes one withdrawal.
    channels: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
