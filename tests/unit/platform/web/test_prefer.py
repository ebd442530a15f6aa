"""What clients prefer (RFC 7240), as they write it."""

import pytest

from billfold.platform.web import prefer
from billfold.platform.web.prefer import NONE, Preferences


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"respond-async", Preferences(respond_async=True)),
        (b"Respond-Async", Preferences(respond_async=True)),
        (b"respond-async, wait=10", Preferences(respond_async=True, wait_s=10)),
        (b"wait=10,respond-async", Preferences(respond_async=True, wait_s=10)),
        (b"wait = 5", Preferences(wait_s=5)),
        (b'wait="7"', Preferences(wait_s=7)),
        (b"wait=0", Preferences(wait_s=0)),
        (b"wait=100000", Preferences(wait_s=30)),
        (b"wait=3, wait=4", Preferences(wait_s=3)),
        (b'return=minimal; foo="a, b;c", respond-async; x=1', Preferences(respond_async=True)),
        (b", ,respond-async,,", Preferences(respond_async=True)),
    ],
)
def test_what_is_known_here_is_found(header: bytes, found: Preferences) -> None:
    assert prefer.parse(header) == found


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"wait",
        b"wait=",
        b"wait=-1",
        b"wait=1.5",
        b"wait=soon",
        "wait=\u0661".encode(),
        b"wait=99999999999",
        b"respond-asynchronously",
        b'foo="respond-async"',
        b'foo="open, respond-async',
        b"=respond-async",
        b"\xff\xfe",
    ],
)
def test_what_can_not_be_read_is_ignored(header: bytes | None) -> None:
    assert prefer.parse(header) == NONE


def test_a_header_of_any_length_is_read_at_once() -> None:
    for part in (b"a=", b'a="', b"a;", b", ", b'a;b="c"', b"respond-async,"):
        prefer.parse(part * 4_000)


def test_what_was_done_is_said_as_it_was_done() -> None:
    assert Preferences(respond_async=True).applied() == "respond-async"
    assert prefer.parse(b"wait=500, respond-async").applied() == "respond-async, wait=30"
