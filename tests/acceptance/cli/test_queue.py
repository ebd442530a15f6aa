"""Confirmed transactions and events of a running stack, as an operator meets them on the command line."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from billfold.kernel import ids
from billfold.platform.messaging.brokers import nats
from tests.commands import Billfold
from tests.integration.messaging.queue import message

#: A worker takes milliseconds; a busy machine is forgiven.
DEADLINE_S = 60.0


@pytest.fixture
def send(billfold_stack: dict[str, str]) -> Callable[..., None]:
    """Puts messages on the queue as another system does."""
    stack = json.loads((Path(billfold_stack["BILLFOLD_DATA"]) / "stack.json").read_text())
    server = nats.Server(url=stack["nats_url"], user=stack["nats_user"], password=stack["nats_password"])

    async def publish(bodies: Sequence[bytes]) -> None:
        async with nats.connected(server, name="sender") as broker:
            messages = [message(body) for body in bodies]
            await broker.publish(messages)

    return lambda *bodies: asyncio.run(publish(bodies))


@pytest.fixture
def operator(owner: Callable[..., Billfold]) -> Billfold:
    return owner("operator", "dead_letters:write", "wallets:read", "wallets:write", "deposits:write")


def _confirmed(wallet: str, amount: str, *, direction: str = "credit") -> bytes:
    document = {
        "id": str(ids.new()),
        "source": "/bank",
        "wallet": wallet,
        "direction": direction,
        "money": {"amount": amount, "asset": "USD"},
    }
    return json.dumps(document).encode()


def _until(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.05)
    return found


def _dead(operator: Billfold, content: bytes) -> dict[str, Any] | None:
    """The dead letter with this content; those of other tests are there too."""
    for listed in operator.json("dead-letters", "list", "--limit", "1000"):
        found: dict[str, Any] = operator.json("dead-letters", "show", listed["id"])
        if base64.b64decode(found["content"]) == content:
            return found
    return None


def test_a_message_that_was_refused_is_shown_mended_and_retried(operator: Billfold, send: Callable[..., None]) -> None:
    wallet = operator.json("wallets", "create", "Ada")["id"]
    rent = _confirmed(wallet, "40.00", direction="debit")
    send(rent)
    dead = _until(lambda: _dead(operator, rent))
    assert (dead["reason"], dead["status"], dead["deliveries"]) == ("insufficient_funds", "open", 1)
    shown = operator("dead-letters", "show", dead["id"]).out
    assert "insufficient_funds" in shown
    assert rent.decode() in shown
    assert operator("dead-letters", "show", dead["id"], "--raw").out == rent.decode()

    refused = operator("dead-letters", "retry", dead["id"], code=1)
    assert "stays open" in refused.out
    send(_confirmed(wallet, "100.00"))
    _until(lambda: [found["posted"] for found in operator.json("balance", wallet)["balances"]] == ["100.00"])
    assert operator("dead-letters", "retry", dead["id"]).out.startswith("It is applied: transfer ")
    assert operator.json("balance", wallet)["balances"][0]["posted"] == "60.00"
    assert "already" in operator("dead-letters", "retry", dead["id"], code=1).err
    assert "already" in operator("dead-letters", "discard", dead["id"], code=1).err


def test_a_message_that_nobody_understands_is_shown_without_doing_anything_to_the_terminal_and_discarded(
    operator: Billfold, send: Callable[..., None]
) -> None:
    content = b"\x1b[31mred " + ids.new().bytes
    send(content)
    dead = _until(lambda: _dead(operator, content))
    assert dead["reason"] == "confirmed_transaction_invalid"
    shown = operator("dead-letters", "show", dead["id"]).out
    assert "\x1b" not in shown
    assert "\\x1b[31mred" in shown
    assert "discarded" in operator("dead-letters", "discard", dead["id"]).out
    listed = operator.json("dead-letters", "list", "--status", "discarded", "--limit", "1000")
    assert dead["id"] in [found["id"] for found in listed]


def test_dead_letters_take_a_scope_of_their_own_which_no_operator_has_by_itself(
    billfold: Billfold, owner: Callable[..., Billfold]
) -> None:
    for caller in (billfold, owner("operator", "wallets:read")):
        assert "scope dead_letters:write" in caller("dead-letters", "list", code=1).err
        for done in ("show", "retry", "discard"):
            assert "scope dead_letters:write" in caller("dead-letters", done, str(ids.new()), code=1).err


def test_an_unknown_dead_letter_says_where_the_known_ones_are(operator: Billfold) -> None:
    assert "billfold dead-letters list" in operator("dead-letters", "show", str(ids.new()), code=1).err


def test_events_are_read_from_the_beginning_and_by_type(operator: Billfold) -> None:
    wallet = operator.json("wallets", "create", "Ada")["id"]
    operator("wallets", "deposit", wallet, "5", "USD")

    def events(*arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in operator("events", "tail", "--json", *arguments).out.splitlines()]

    everything = events("--from", "beginning", "--count", "3")
    assert len({event["id"] for event in everything}) == 3
    created = events("--from", "beginning", "--type", "wallet.created.v1", "--count", "1")
    assert created[0]["type"] == "wallet.created.v1"
    (transfer,) = events("--from", "beginning", "--type", "transfer.>", "--count", "1")
    assert (transfer["specversion"], transfer["type"]) == ("1.0", "transfer.posted.v1")
    (line,) = operator("events", "tail", "--from", "beginning", "--type", "transfer.>", "--count", "1").out.splitlines()
    assert transfer["id"] in line
    assert transfer["data"]["money"]["amount"] in line


def test_events_are_followed_as_they_happen(operator: Billfold, billfold_stack: dict[str, str]) -> None:
    command = [
        sys.executable,
        "-m",
        "billfold.app.cli",
        "events",
        "tail",
        "--type",
        # Wallets that other tests have just made may still be told of.
        "wallet.updated.v1",
        "--count",
        "1",
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BILLFOLD_")}
    following = subprocess.Popen(
        command, env=kept | billfold_stack, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert following.stderr is not None
    assert "Waiting for events" in following.stderr.readline()
    wallet = operator.json("wallets", "create", "Ada")["id"]
    operator("wallets", "rename", wallet, "Ada's")
    (line,) = following.communicate(timeout=60)[0].splitlines()
    assert wallet in line
