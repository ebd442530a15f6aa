"""What credentials let their bearer do: scopes, and the roles that are made of them."""

from collections.abc import Mapping
from typing import Literal, get_args

#: What an API key can carry.
KeyScope = Literal[
    "wallets:read",
    "wallets:write",
    "transfers:read",
    "transfers:write",
    "deposits:write",
    "withdrawals:write",
    "holds:read",
    "holds:write",
    "limits:write",
    "aliases:read",
    "aliases:write",
    "keys:read",
    "keys:write",
    "assets:read",
    "assets:write",
    "users:read",
    "approvals:read",
    "audit:read",
    "everybody:read",
    "dead_letters:write",
    "operator",
]
#: What needs a person who has logged in: no API key carries these.
PersonalScope = Literal["account", "users:write", "approvals:write"]
Scope = KeyScope | PersonalScope

#: What each scope lets its bearer do, within what belongs to the credentials' owner.
SCOPES: Mapping[Scope, str] = {
    "wallets:read": "See wallets, balances, transactions and statements.",
    "wallets:write": "Create, change, freeze and close wallets.",
    "transfers:read": "See transfers.",
    "transfers:write": "Move money between wallets, and send it back.",
    "deposits:write": "Put money into wallets from the outside world.",
    "withdrawals:write": "Take money out of wallets to the outside world.",
    "holds:read": "See holds.",
    "holds:write": "Place, settle and release holds.",
    "limits:write": "Set how far a wallet may go below zero; for operators.",
    "aliases:read": "See one's own aliases, and whom an alias stands for.",
    "aliases:write": "Take, change and release aliases.",
    "keys:read": "See API keys, without their text.",
    "keys:write": "Create and revoke API keys.",
    "assets:read": "See the assets there are.",
    "assets:write": "Add assets.",
    "account": "See and change one's own profile, sessions and factors.",
    "users:read": "See people, their roles and their sessions.",
    "users:write": "Give and take roles, sign people out.",
    "approvals:read": "See what waits for a second person.",
    "approvals:write": "Approve or reject what another person has asked for.",
    "audit:read": "See what everybody has done, from where, and prove it.",
    "everybody:read": "See what belongs to anybody, where a scope lets one see one's own.",
    "dead_letters:write": "See, retry and discard messages and events that could not be applied.",
    "operator": "See and act on what belongs to anybody, where a scope lets one act on one's own.",
}
ALL_SCOPES = frozenset(SCOPES)
OPERATOR: Scope = "operator"
PERSONAL: frozenset[Scope] = frozenset(get_args(PersonalScope))
KEY_SCOPES: frozenset[Scope] = frozenset(get_args(KeyScope))
#: What reaches beyond one's own things. It is given by name only.
STAFF: frozenset[Scope] = frozenset(
    {"operator", "everybody:read", "limits:write", "users:read", "approvals:read", "audit:read", "dead_letters:write"}
)

Role = Literal["user", "support", "compliance", "treasurer", "auditor", "admin", "service"]
#: Whoever works here.
STAFF_ROLES: frozenset[Role] = frozenset({"support", "compliance", "treasurer", "auditor", "admin"})
#: Whose scopes reach everybody's things, because `operator` is one of them.
ACTING_ROLES: frozenset[Role] = frozenset({"compliance", "treasurer", "admin"})
#: Whose scopes are meant for one's own things: with `operator` beside them they would reach everybody's.
OWNING_ROLES: frozenset[Role] = frozenset({"user", "service"})

_USER: frozenset[Scope] = frozenset(
    {
        "account",
        "wallets:read",
        "wallets:write",
        "transfers:read",
        "transfers:write",
        "withdrawals:write",
        "holds:read",
        "holds:write",
        "aliases:read",
        "aliases:write",
        "keys:read",
        "keys:write",
        "assets:read",
    }
)
_LOOKS: frozenset[Scope] = frozenset(
    {
        "account",
        "everybody:read",
        "wallets:read",
        "transfers:read",
        "holds:read",
        "aliases:read",
        "keys:read",
        "assets:read",
        "users:read",
    }
)

#: What each role is for.
ROLES: Mapping[Role, str] = {
    "user": "Somebody with wallets: their own things, and nobody else's.",
    "support": "Helps people: sees everybody's things and changes none.",
    "compliance": "Freezes and unfreezes wallets, and approves.",
    "treasurer": "Posts by hand, sets credit limits, and approves; each of these needs another person.",
    "auditor": "Sees everything and changes nothing.",
    "admin": "Gives roles, adds assets, handles dead letters; moves no money.",
    "service": "A program that logs in by client credentials: its own wallets, deposits included.",
}
#: What each role carries. Somebody with several roles has the scopes of all, so that not all can be combined.
ROLE_SCOPES: Mapping[Role, frozenset[Scope]] = {
    "user": _USER,
    "support": _LOOKS,
    "compliance": _LOOKS | {"operator", "wallets:write", "aliases:write", "approvals:read", "approvals:write"},
    "treasurer": _LOOKS
    | {
        "operator",
        "transfers:write",
        "deposits:write",
        "withdrawals:write",
        "holds:write",
        "limits:write",
        "approvals:read",
        "approvals:write",
    },
    "auditor": _LOOKS | {"approvals:read", "audit:read"},
    "admin": _LOOKS
    | {
        "operator",
        "dead_letters:write",
        "users:write",
        "assets:write",
        "keys:write",
        "approvals:read",
        "approvals:write",
    },
    "service": _USER - {"account", "keys:read", "keys:write"} | {"deposits:write"},
}


def scopes_of(roles: frozenset[str]) -> frozenset[str]:
    """What all these roles carry together."""
    return frozenset[str]().union(*(scopes for role, scopes in ROLE_SCOPES.items() if role in roles))
