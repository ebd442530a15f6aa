"""The mails of a stack without a mail server: at the command line, and on the page that `billfold up` names."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.commands import Billfold
from tests.docs import stack

PASSWORD = "correct horse battery staple"
WAIT_S = "30"
_numbers = count(1)


@pytest.fixture
def billfold(billfold_stack: dict[str, str]) -> Billfold:
    return Billfold(billfold_stack)


@pytest.fixture
def address() -> str:
    """Nobody else's."""
    return f"reader{next(_numbers)}@example.com"


@pytest.fixture
def page(billfold: Billfold) -> Iterator[httpx2.Client]:
    """A browser at the sink's address."""
    with httpx2.Client(base_url=billfold.json("status")["mail_sink_url"], headers={"Accept": "text/html"}) as client:
        yield client


def register(environment: dict[str, str], **who: str) -> str:
    """Ask for an account; the id by which the code is good."""
    body = {"password": PASSWORD, "display_name": "Reader"} | who
    answer = httpx2.post(f"{environment['BILLFOLD_URL']}/api/v1/auth/register", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def verified(environment: dict[str, str], registration: str, code: str) -> Any:
    body = {"id": registration, "code": code}
    answer = httpx2.post(f"{environment['BILLFOLD_URL']}/api/v1/auth/verify", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_code_of_a_registration_is_read_from_the_sink(
    billfold_stack: dict[str, str], billfold: Billfold, address: str
) -> None:
    registration = register(billfold_stack, email=address)
    code = billfold("mail", "show", "--to", address, "--wait", WAIT_S, "--code").out.strip()
    assert verified(billfold_stack, registration, code)["user_id"]
    (listed,) = billfold.json("mail", "list", "--to", address)
    assert listed["recipients"] == [address]
    shown = billfold("mail", "show", listed["id"]).out
    assert "Your Billfold code" in shown
    assert code in shown
    assert billfold.json("mail", "show", "--latest", "--to", address.upper())["code"] == code


def test_a_code_to_a_phone_is_read_there_too(billfold_stack: dict[str, str], billfold: Billfold) -> None:
    phone = f"+668123456{next(_numbers):02}"
    registration = register(billfold_stack, phone=phone, locale="th")
    code = billfold("mail", "show", "--to", phone, "--wait", WAIT_S, "--code").out.strip()
    assert verified(billfold_stack, registration, code)["user_id"]
    assert billfold.json("mail", "show", "--to", phone)["text"].startswith("รหัสยืนยัน")


def test_the_page_that_up_names_shows_the_mail(
    billfold_stack: dict[str, str], billfold: Billfold, page: httpx2.Client, address: str
) -> None:
    register(billfold_stack, email=address)
    found = billfold.json("mail", "show", "--to", address, "--wait", WAIT_S)
    assert address in page.get("/").text
    assert found["code"] in page.get(f"/messages/{found['id']}").text
    assert ["Mails", str(page.base_url).rstrip("/")] in [line.split() for line in billfold("status").out.splitlines()]


def test_what_is_not_there_is_told(billfold: Billfold) -> None:
    nobody = "nobody@example.com"
    assert billfold("mail", "list", "--to", nobody).out == "No mail.\n"
    began = time.monotonic()
    assert f"No mail to {nobody} has come" in billfold("mail", "show", "--to", nobody, "--wait", "0.3", code=1).err
    assert time.monotonic() - began >= 0.3
    assert "There is no such message" in billfold("mail", "show", "x", code=1).err
    assert "An id names one mail" in billfold("mail", "show", "x", "--latest", code=2).err


def test_a_mail_without_a_code_says_so(billfold_stack: dict[str, str], billfold: Billfold, address: str) -> None:
    registration = register(billfold_stack, email=address)
    code = billfold("mail", "show", "--to", address, "--wait", WAIT_S, "--code").out.strip()
    verified(billfold_stack, registration, code)
    known = {mail["id"] for mail in billfold.json("mail", "list", "--to", address)}
    register(billfold_stack, email=address)
    deadline = time.monotonic() + float(WAIT_S)
    while {mail["id"] for mail in billfold.json("mail", "list", "--to", address)} == known:
        assert time.monotonic() < deadline
    assert "tells no code" in billfold("mail", "show", "--to", address, "--code", code=1).err


def test_a_killed_sink_comes_back_and_keeps_its_mails_until_it_is_cleared(tmp_path: Path) -> None:
    with stack.running(tmp_path) as environment:
        first = Billfold(environment)
        os.kill(first.json("status")["processes"]["mail-sink"], signal.SIGKILL)
        register(environment, email="ada@example.com")
        code = first("mail", "show", "--wait", WAIT_S, "--code").out
    # It is read without a stack too.
    assert first("mail", "show", "--code").out == code
    with stack.running(tmp_path) as environment:
        assert Billfold(environment)("mail", "show", "--code").out == code
        assert Billfold(environment)("mail", "clear").out == "1 mail thrown away.\n"
        assert Billfold(environment).json("mail", "list") == []


def test_where_a_mail_server_is_set_there_is_no_sink(tmp_path: Path) -> None:
    with stack.running(tmp_path, mail__host="127.0.0.1", mail__port="9", mail__tls="none") as environment:
        record = json.loads((Path(environment["BILLFOLD_DATA"]) / "stack.json").read_text())
        assert record["mail_sink_url"] is None
        assert "mail-sink" not in record["processes"]
        assert "Mails" not in Billfold(environment)("status").out
