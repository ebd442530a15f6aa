"""A seed for somebody outside, by the commands of all whom it takes: a treasurer, another one, and the recipient."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billfold.app.cli import exits
from tests.acceptance.cli.people.machines import Person
from tests.commands import Billfold
from tests.docs import stack
from tests.smtp import SmtpServer


@pytest.fixture(scope="module")
def people_stack(smtp_server: SmtpServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A stack with chains, and so with a signer."""
    settings = {"mail__host": "127.0.0.1", "mail__port": str(smtp_server.port), "mail__tls": "none"}
    with stack.running(tmp_path_factory.mktemp("seeds"), option="--sandbox", **settings) as environment:
        yield environment


def test_a_seed_leaves_when_two_people_want_it_and_its_recipient_alone_can_open_it(
    careful: Person, register: Any, people_stack: dict[str, str], tmp_path: Path
) -> None:
    maker, checker, private = careful.billfold, register(), tmp_path / "safe.key"
    for one in (careful, checker):
        Billfold(people_stack)("users", "grant-role", one.email, "treasurer")
    public = stack.told(people_stack, "signer", "recipient-key", str(private)).strip()
    stack.told(people_stack, "signer", "recipient", "safe", public)

    export = ("custody", "export-seed", "bitcoin", "--recipient", public, "--reason", "For the safe.")
    refused = maker(*export, code=exits.USAGE).err
    assert f"recipient: {public}" in refused
    assert "There is no terminal to ask for this" in refused
    asked = maker.json(*export, "--code", careful.code())["id"]
    assert maker.json("approvals", "show", asked)["status"] == "pending"
    assert _code(maker("custody", "fetch-seed", asked, "--json", code=exits.FAILED).err) == "key_export_waits"
    assert "asked for this yourself" in maker("approvals", "approve", asked, code=exits.FAILED).err
    assert checker.billfold.json("approvals", "approve", asked)["status"] == "executed"

    assert _code(checker.billfold("custody", "fetch-seed", asked, "--json", code=exits.FAILED).err) == (
        "key_export_unknown"
    )
    package = tmp_path / "package.json"
    package.write_text(maker("custody", "fetch-seed", asked).out)
    assert maker.json("custody", "fetch-seed", asked)["package"] == package.read_text().strip()
    opened = json.loads(
        stack.told(people_stack, "signer", "open-export", str(package), "--key", str(private), "--json")
    )
    assert len(opened["words"].split()) == 24
    assert opened["seed"] not in package.read_text()


def test_for_whom_the_signer_does_not_know_nothing_is_sealed_whoever_wants_it(
    careful: Person, register: Any, people_stack: dict[str, str]
) -> None:
    maker, checker, stranger = careful.billfold, register(), "11" * 32
    for one in (careful, checker):
        Billfold(people_stack)("users", "grant-role", one.email, "treasurer")
    export = ("custody", "export-seed", "bitcoin", "--recipient", stranger, "--reason", "For me.")
    said = maker(*export, "--code", careful.code()).out
    assert "waits for another person" in said
    approved = checker.billfold.json("approvals", "approve", said.split()[0])
    assert (approved["status"], approved["reason"][:18]) == ("failed", "export_not_allowed")
    assert _code(maker("custody", "fetch-seed", approved["id"], "--json", code=exits.FAILED).err) == "key_export_waits"


def test_nobody_but_a_treasurer_asks_for_a_seed(careful: Person) -> None:
    export = ("custody", "export-seed", "bitcoin", "--recipient", "11" * 32, "--reason", "For me.", "--json")
    assert _code(careful.billfold(*export, code=exits.FAILED).err) == "missing_scope"


def _code(told: str) -> str:
    code: str = json.loads(told)["error"]["code"]
    return code
