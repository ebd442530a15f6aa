"""Staff: one asks, another one approves, and both look after people."""

from __future__ import annotations

from typing import Any

from tests.acceptance.cli.people.machines import PASSWORD
from tests.commands import Billfold


def test_what_one_person_asks_for_another_one_approves(register: Any, people_stack: dict[str, str]) -> None:
    customer, maker, checker = register(), register(), register()
    wallet = customer.billfold.json("wallets", "create", "Till")["id"]
    for one in (maker, checker):
        Billfold(people_stack)("users", "grant-role", one.email, "treasurer")
    # Nothing refuses a list to whoever sees but their own in it, so its token is not renewed for a role that is new.
    checker.billfold("login", checker.email, "--password-stdin", stdin=PASSWORD)
    deposit = ("wallets", "deposit", wallet, "12.34", "USD", "--idempotency-key")
    assert "another person has to approve it" in maker.billfold(*deposit, "goodwill-1").out
    (waiting,) = checker.billfold.json("approvals", "list", "--status", "pending")
    assert "12.34" in checker.billfold("approvals", "list").out
    assert "asked for this yourself" in maker.billfold("approvals", "approve", waiting["id"], code=1).err
    assert checker.billfold.json("approvals", "approve", waiting["id"])["status"] == "executed"
    assert customer.billfold.json("balance", wallet)
    # The maker's own command says now what has come of it.
    assert maker.billfold.json(*deposit, "goodwill-1")["money"]["amount"] == "12.34"

    rejected = maker.billfold.json(*deposit, "goodwill-2")["id"]
    assert "No invoice" in checker.billfold("approvals", "reject", rejected, "--reason", "No invoice.").out
    assert maker.billfold.json("approvals", "show", rejected)["status"] == "rejected"
    cancelled = maker.billfold.json(*deposit, "goodwill-3")["id"]
    assert maker.billfold.json("approvals", "cancel", cancelled)["status"] == "cancelled"
    assert maker.billfold.json("approvals", "list", "--status", "pending") == []


def test_staff_look_after_people(register: Any, people_stack: dict[str, str]) -> None:
    customer, admin, other = register(), register(), register()
    for one in (admin, other):
        Billfold(people_stack)("users", "grant-role", one.email, "admin")
    (found,) = admin.billfold.json("users", "list", "--email", customer.email)
    assert found["id"] == customer.id
    assert customer.name in admin.billfold("users", "list").out
    assert admin.billfold("users", "list", "--email", "nobody@example.com").out.startswith("Nobody.")
    assert "Session" in admin.billfold("users", "show", customer.id).out
    waiting = admin.billfold.json("users", "roles", customer.id, "user", "support")
    assert waiting["status"] == "pending"
    assert "another person has to approve it" in admin.billfold("users", "roles", customer.id, "user", "support").out
    assert other.billfold.json("approvals", "approve", waiting["id"])["status"] == "executed"
    assert admin.billfold.json("users", "show", customer.id)["roles"] == ["support", "user"]
    # Less needs nobody else.
    assert admin.billfold.json("users", "roles", customer.id, "user")["roles"] == ["user"]
    assert "logged in nowhere" in admin.billfold("users", "sign-out", customer.id).out
    assert "log in again" in customer.billfold("users", "me", code=1).err
