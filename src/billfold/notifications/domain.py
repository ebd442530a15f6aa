"""Who may see what of which event: one table. Whatever is not in it, nobody sees."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from billfold.kernel import ids
from billfold.kernel.events import Event
from billfold.kernel.principal import MissingScope, Principal
from billfold.notifications.contracts import Topic
from billfold.wallets.contracts import OUTSIDE, AccountHolder

Holders = Mapping[UUID, AccountHolder]
Json = Mapping[str, Any]


class Share(msgspec.Struct, frozen=True):
    """What one owner sees of an event."""

    owner_id: UUID
    data: Json


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """Whom events of a type concern."""

    #: What credentials must carry to see them; None is whatever the owner's credentials carry.
    scope: str | None
    topics: tuple[Topic, ...]
    #: Their shares, by the event's data and the holders of the accounts in it.
    shares: Callable[[Json, Holders], list[Share]]


def _both_sides(data: Json, holders: Holders) -> list[Share]:
    """A transfer: whoever holds an account of it, each with their own balances and versions alone."""
    sides = {side: holders.get(ids.parse(data[f"{side}_account"])) for side in ("debit", "credit")}
    found: dict[UUID, list[Json]] = {}
    for side, other in (("debit", "credit"), ("credit", "debit")):
        holder, stranger = sides[side], sides[other]
        if holder is not None:
            entry = {
                "wallet": holder.wallet,
                "direction": "out" if side == "debit" else "in",
                "balance": data[f"{side}_balance"],
                "version": data[f"{side}_version"],
                "counterparty": OUTSIDE if stranger is None else stranger.wallet,
            }
            found.setdefault(holder.owner_id, []).append(entry)
    common = _picked(
        data, ("id", "kind", "money", "reference", "description", "metadata", "effective_at", "recorded_at")
    )
    return [Share(owner_id, {**common, "entries": entries}) for owner_id, entries in found.items()]


def _holder(data: Json, holders: Holders) -> list[Share]:
    """A hold: whoever's money it is."""
    holder = holders.get(ids.parse(data["account"]))
    if holder is None:
        return []
    seen = _picked(data, ("id", "status", "money", "settled", "remaining", "reference", "expires_at"))
    return [Share(holder.owner_id, {**seen, "wallet": holder.wallet})]


def _both_people(data: Json, _: Holders) -> list[Share]:
    """Money that somebody asks somebody else for: neither learns the other's id."""
    seen = _picked(data, ("payment_request_id", "money", "transfer_id"))
    asks, is_asked = UUID(data["owner_id"]), UUID(data["payer_id"])
    return [Share(asks, {**seen, "direction": "outgoing"}), Share(is_asked, {**seen, "direction": "incoming"})]


def _owner(*fields: str) -> Callable[[Json, Holders], list[Share]]:
    """Whoever it is about, with these fields. An attempt on an account that there is not concerns nobody."""

    def shares(data: Json, _: Holders) -> list[Share]:
        owner_id = data.get("owner_id")
        return [Share(UUID(owner_id), _picked(data, fields))] if owner_id else []

    return shares


def _of_wallet(*fields: str) -> Callable[[Json, Holders], list[Share]]:
    """Whoever has the wallet that it names, with these fields. What is nobody's yet concerns nobody."""

    def shares(data: Json, holders: Holders) -> list[Share]:
        holder = holders.get(UUID(data["wallet_id"])) if data["wallet_id"] else None
        return [] if holder is None else [Share(holder.owner_id, _picked(data, fields))]

    return shares


def _picked(data: Json, fields: Iterable[str]) -> dict[str, Any]:
    return {field: data[field] for field in fields if field in data}


_WALLET = Audience(
    scope="wallets:read",
    topics=("wallets",),
    shares=_owner("wallet_id", "name", "external_id", "status", "metadata", "created_at", "credit_limits"),
)
_HOLD = Audience(scope="holds:read", topics=("balances",), shares=_holder)
_PAYMENT_REQUEST = Audience(scope="transfers:read", topics=("requests",), shares=_both_people)
_REQUEST = Audience(
    scope="transfers:read",
    topics=("requests",),
    shares=_owner(
        "request_id",
        "kind",
        "status",
        "from",
        "to",
        "money",
        "reference",
        "accepted_at",
        "expires_at",
        "ended_at",
        "transfer_id",
        "reason",
        "detail",
    ),
)
_DEPOSIT = Audience(
    scope="transfers:read",
    topics=("transactions",),
    shares=_of_wallet(
        "deposit_id", "wallet_id", "chain", "chain_tx", "index", "address", "memo", "money", "height", "transfer_id"
    ),
)
_WITHDRAWAL = Audience(
    scope="transfers:read",
    topics=("transactions",),
    shares=_owner(
        "withdrawal_id",
        "wallet_id",
        "chain",
        "money",
        "service_fee",
        "network_fee",
        "address",
        "memo",
        "chain_tx",
        "reason",
    ),
)
#: What is the house's concerns no owner: operators see it by their own means.
_HOUSE = Audience(scope="operator", topics=("transactions",), shares=lambda _data, _holders: [])
_API_KEY = Audience(
    scope="keys:read", topics=("security",), shares=_owner("api_key_id", "name", "mode", "scopes", "expires_at")
)
_ALIAS = Audience(
    scope="aliases:read",
    topics=("security",),
    shares=_owner("alias_id", "kind", "alias", "status", "visibility", "kept_until"),
)
_APPROVAL = Audience(
    scope=None, topics=("requests",), shares=_owner("approval_id", "kind", "status", "checker_id", "reason")
)


def _security(*fields: str) -> Audience:
    """What only the person sees, who has logged in."""
    return Audience(scope="account", topics=("security",), shares=_owner(*fields))


_SESSION = _security("session_id", "device", "address", "methods", "reason")
_IDENTITY = _security("identity_id", "provider", "subject")
_FACTOR = _security("factor", "name", "passkey_id", "left", "purpose", "step_up_id", "operation", "method")
_ATTEMPT = _security("login", "device", "address")
_USER = _security(
    "email", "phone", "locale", "address", "device", "changed", "time_zone", "kind", "from", "to", "roles", "before"
)

AUDIENCES: Mapping[str, Audience] = {
    "transfer.posted.v1": Audience(scope="wallets:read", topics=("balances", "transactions"), shares=_both_sides),
    "hold.placed.v1": _HOLD,
    "hold.settled.v1": _HOLD,
    "hold.released.v1": _HOLD,
    "hold.expired.v1": _HOLD,
    "wallet.created.v1": _WALLET,
    "wallet.updated.v1": _WALLET,
    "wallet.frozen.v1": _WALLET,
    "wallet.unfrozen.v1": _WALLET,
    "wallet.closed.v1": _WALLET,
    "request.accepted.v1": _REQUEST,
    "transfer.completed.v1": _REQUEST,
    "transfer.failed.v1": _REQUEST,
    "payment_request.created.v1": _PAYMENT_REQUEST,
    "payment_request.paid.v1": _PAYMENT_REQUEST,
    "payment_request.declined.v1": _PAYMENT_REQUEST,
    "payment_request.cancelled.v1": _PAYMENT_REQUEST,
    "approval.requested.v1": _APPROVAL,
    "approval.approved.v1": _APPROVAL,
    "approval.rejected.v1": _APPROVAL,
    "approval.executed.v1": _APPROVAL,
    "approval.failed.v1": _APPROVAL,
    "approval.cancelled.v1": _APPROVAL,
    "approval.expired.v1": _APPROVAL,
    "custody.break_found.v1": _HOUSE,
    "custody.reconciled.v1": _HOUSE,
    "custody.withdrawals_resumed.v1": _HOUSE,
    "deposit.detected.v1": _DEPOSIT,
    "deposit.credited.v1": _DEPOSIT,
    "deposit.releasable.v1": _DEPOSIT,
    "deposit.reverted.v1": _DEPOSIT,
    "deposit.assign_requested.v1": _DEPOSIT,
    "deposit.assigned.v1": _DEPOSIT,
    "deposit.assign_failed.v1": _DEPOSIT,
    "deposit.refund_requested.v1": _DEPOSIT,
    "deposit.refunded.v1": _DEPOSIT,
    "deposit.refund_failed.v1": _DEPOSIT,
    "withdrawal.requested.v1": _WITHDRAWAL,
    "withdrawal.sent.v1": _WITHDRAWAL,
    "withdrawal.settled.v1": _WITHDRAWAL,
    "withdrawal.failed.v1": _WITHDRAWAL,
    "withdrawal.cancelled.v1": _WITHDRAWAL,
    "treasury.moved.v1": _HOUSE,
    "refill.requested.v1": _HOUSE,
    "refill.closed.v1": _HOUSE,
    "api_key.created.v1": _API_KEY,
    "api_key.used.v1": _API_KEY,
    "api_key.revoked.v1": _API_KEY,
    "alias.added.v1": _ALIAS,
    "alias.verified.v1": _ALIAS,
    "alias.changed.v1": _ALIAS,
    "alias.released.v1": _ALIAS,
    "session.started.v1": _SESSION,
    "session.ended.v1": _SESSION,
    "session.reuse_detected.v1": _SESSION,
    "identity.linked.v1": _IDENTITY,
    "identity.unlinked.v1": _IDENTITY,
    "factor.added.v1": _FACTOR,
    "factor.removed.v1": _FACTOR,
    "recovery_codes.renewed.v1": _FACTOR,
    "recovery_code.used.v1": _FACTOR,
    "second_factor.refused.v1": _FACTOR,
    "passkey.cloned.v1": _FACTOR,
    "step_up.approved.v1": _FACTOR,
    "user.registered.v1": _USER,
    "user.login_failed.v1": _ATTEMPT,
    "user.reset_requested.v1": _ATTEMPT,
    "user.password_changed.v1": _USER,
    "user.password_reset.v1": _USER,
    "user.profile_changed.v1": _USER,
    "user.address_changed.v1": _USER,
    "user.closed.v1": _USER,
    "role.changed.v1": _USER,
}
#: Somebody has closed their account.
LEFT = "user.closed.v1"
#: After these, credentials of their owner may be good for less, or for nothing.
ENDING = frozenset(
    {
        "api_key.revoked.v1",
        "session.ended.v1",
        "session.reuse_detected.v1",
        "identity.unlinked.v1",
        "role.changed.v1",
        "user.closed.v1",
    }
)


def data_of(event: Event) -> Json | None:
    """The data of an event that somebody may see; None of any other."""
    if event.type not in AUDIENCES:
        return None
    found = msgspec.json.decode(event.data) if isinstance(event.data, msgspec.Raw) else msgspec.to_builtins(event.data)
    return found if isinstance(found, dict) else None


def accounts_in(data: Json) -> list[UUID]:
    """The ledger accounts that it names."""
    return [ids.parse(data[name]) for name in ("account", "debit_account", "credit_account") if name in data]


def wallets_in(data: Json) -> list[UUID]:
    """The wallets whose owners it does not name."""
    wallet_id = None if "owner_id" in data else data.get("wallet_id")
    return [] if wallet_id is None else [ids.parse(wallet_id)]


def shares(event: Event, data: Json, holders: Holders) -> list[Share]:
    """Who sees what of it."""
    return AUDIENCES[event.type].shares(data, holders)


def visible(
    principal: Principal, *, types: Sequence[str] = (), topics: Collection[Topic] | None = None
) -> frozenset[str]:
    """The types that these credentials see, of those that are wanted. `types` may begin several: `transfer.`.

    Raises:
        MissingScope: they see nothing at all of one of the topics.
    """
    for topic in topics or ():
        if not any(topic in one.topics and _sees(principal, one) for one in AUDIENCES.values()):
            raise MissingScope(f"Your credentials may see nothing of {topic}.")
    return frozenset(
        kind
        for kind, audience in AUDIENCES.items()
        if _sees(principal, audience)
        and (topics is None or not set(topics).isdisjoint(audience.topics))
        and (not types or any(kind == one or (one.endswith(".") and kind.startswith(one)) for one in types))
    )


def _sees(principal: Principal, audience: Audience) -> bool:
    return audience.scope is None or audience.scope in principal.scopes
