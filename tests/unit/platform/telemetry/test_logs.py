"""No secret gets into a log line, by whichever way."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from billfold.platform.telemetry import logs

CANARY = "canary-5c1d3d"
KEY = f"bf_live_0351Fall0FBiAvBJWcE3oz_{'Rgs67Bna09hTOZ45SVR6PGiRKaevLATFiZ7vaEwWO2b'}"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(role="api", level="info", form="json")
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[Any]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_its_role_level_time_and_request(written: io.StringIO) -> None:
    tokens = logs.request_id.set(b"r-1"), logs.trace_id.set(b"t-1")
    structlog.get_logger("t1").warning("something", number=7)
    logs.request_id.reset(tokens[0])
    logs.trace_id.reset(tokens[1])
    (line,) = lines(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "something",
        "role": "api",
        "level": "warning",
        "request_id": "r-1",
        "trace_id": "t-1",
        "number": 7,
    }


def test_what_is_below_the_level_is_left_out(written: io.StringIO) -> None:
    structlog.get_logger("t2").debug("too much")
    assert lines(written) == []


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "DB_PASSWORD",
        "token",
        "access_token",
        "api_key",
        "apikey",
        "authorization",
        "client_secret",
        "dsn",
        "private_key",
    ],
)
def test_a_value_is_masked_when_its_name_gives_it_away(written: io.StringIO, name: str) -> None:
    structlog.get_logger("t3").info("hello", **{name: CANARY}, inner={name: [CANARY]}, deep=[{"x": {name: CANARY}}])
    assert CANARY not in written.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        f"the key {KEY} was used",
        f"the refresh token bfr_{CANARY}_{CANARY} came twice",
        f"Cookie: billfold=eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.{CANARY}; other=1",
        f"Authorization: Bearer {CANARY}",
        f"authorization: basic {CANARY}==",
        f"postgresql://billfold_app:{CANARY}@localhost/core",
        f"nats://user:{CANARY}@127.0.0.1:4222",
        f"connect failed: host=x password={CANARY} user=y",
    ],
)
def test_a_value_is_masked_when_its_form_gives_it_away(written: io.StringIO, text: str) -> None:
    log = structlog.get_logger("t4")
    log.info(text)
    log.info("x", detail=text, many=[text], by_name={"inner": text}, raw=text.encode())
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")
    logging.getLogger("some.library").error("it said %s", text)
    shown = written.getvalue()
    assert "failed" in shown
    assert "some.library" in shown
    assert CANARY not in shown
    assert KEY not in shown


def test_a_trace_shows_no_variables(written: io.StringIO) -> None:
    def fail() -> None:
        hidden = CANARY[:-1]
        raise ValueError(len(hidden))

    try:
        fail()
    except ValueError:
        structlog.get_logger("t5").exception("failed")
    assert "in fail" in written.getvalue()
    assert CANARY[:-1] + "'" not in written.getvalue()


def test_what_a_library_warns_of_is_one_line_and_its_errors_have_their_trace(written: io.StringIO) -> None:
    library = logging.getLogger("some.library")
    for tell in (library.warning, library.error):
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except ConnectionRefusedError:
            tell("no connection", exc_info=True)
    warned, failed = lines(written)
    assert warned["error"] == "ConnectionRefusedError(111, 'Connection refused')"
    assert "exception" not in warned
    assert "Traceback" in failed["exception"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_text_begins_a_line_of_its_own(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch, form: Literal["json", "console"]
) -> None:
    monkeypatch.setattr(sys, "stderr", written)
    logs.configure(role="api", level="info", form=form)
    hostile = "x\n2026-11-21T00:00:00Z [info] everything is well\r\x1b[2J\u2028y"
    structlog.get_logger(f"t6-{form}").info("something", detail=hostile, by_name={"inner": [hostile]})
    logging.getLogger("some.library").error("it said %s", hostile)
    text = written.getvalue()
    assert len(text.splitlines()) == 2
    assert "\x1b[2J" not in text
