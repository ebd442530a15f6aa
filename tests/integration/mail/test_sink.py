"""The mail server of the embedded stack: what comes in by SMTP is seen on its page and as JSON, and harms nobody."""

from __future__ import annotations

import smtplib
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import msgspec
import pytest

from billfold.platform.mail.sink import letters, receiving, web
from billfold.platform.mail.sink.box import Box, MessageUnknown
from tests import smtp
from tests.integration.mail import support
from tests.integration.mail.support import ADA, VALUES, Post, at_work
from tests.servers import LoopThread

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@dataclass(frozen=True)
class Sink:
    """A running one, and a browser in front of it."""

    folder: Path
    smtp_port: int
    port: int
    troubles: list[OSError]

    def deliver(self, content: str | bytes, *, to: str = ADA, sender: str = "no-reply@example.com") -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=30) as client:
            client.sendmail(sender, [to], content, mail_options=["SMTPUTF8"])

    def get(self, path: str, *, accept: str = "*/*", host: str | None = None) -> tuple[HTTPResponse, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers={"Accept": accept} | ({"Host": host} if host else {}))
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        connection.close()
        return answer, body

    def json(self, path: str) -> Any:
        answer, body = self.get(path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
        return msgspec.json.decode(body)

    def page(self, path: str) -> str:
        answer, body = self.get(path, accept="text/html,*/*;q=0.8")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        return body


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    folder = tmp_path / "mail"
    troubles: list[OSError] = []
    box = Box(folder, messages_max=20, bytes_max=3 * receiving.MESSAGE_MAX_BYTES)
    listening = receiving.listening(box, port=0, not_kept=troubles.append)
    thread = LoopThread()
    smtp_port = thread.run(listening.__aenter__())
    with web.listening(box, port=0) as port:
        yield Sink(folder, smtp_port, port, troubles)
    thread.run(listening.__aexit__(None, None, None))
    thread.close()


def letter(text: str, *, html: str | None = None, subject: str = "Hello", author: str = "Eve <eve@example.com>") -> str:
    message = EmailMessage()
    message["From"], message["Subject"] = author, subject
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message.as_string()


def test_an_empty_sink_says_what_to_do(sink: Sink) -> None:
    assert "No mail yet." in sink.page("/")
    assert sink.json("/messages") == []


async def test_a_mail_of_ours_is_seen_in_the_list_and_as_a_whole(sink: Sink, post: Post) -> None:
    server = smtp.SmtpServer.__new__(smtp.SmtpServer)
    server.port = sink.smtp_port
    await post.put(locale="th")
    async with at_work(post.sending(server)):
        await post.emptied()
    (listed,) = sink.json("/messages")
    assert listed["recipients"] == [ADA]
    assert listed["sender"] == support.SENDER.addr_spec
    assert listed["subject"] == "รหัสยืนยัน Billfold ของคุณ"
    shown = sink.json(f"/messages/{listed['id']}")
    assert shown["code"] == VALUES["code"]
    assert VALUES["code"] in shown["text"]
    assert VALUES["code"] in shown["html"]
    assert listed["subject"] in sink.page("/")
    page = sink.page(f"/messages/{listed['id']}")
    assert f"<code>{VALUES['code']}</code>" in page
    answer, raw = sink.get(f"/messages/{listed['id']}/raw")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert raw.startswith(f"Return-Path: <{support.SENDER.addr_spec}>\r\nDelivered-To: {ADA}\r\n")


def test_the_list_refreshes_itself_and_shows_the_newest_first(sink: Sink) -> None:
    for number in range(3):
        sink.deliver(letter("x", subject=f"number {number}"))
    assert [one["subject"] for one in sink.json("/messages")] == ["number 2", "number 1", "number 0"]
    page = sink.page("/")
    assert page.index("number 2") < page.index("number 0")
    assert '<meta http-equiv="refresh" content="2">' in page


def test_mails_to_one_address_or_phone_can_be_asked_for(sink: Sink) -> None:
    sink.deliver(letter("x", subject="for ada"))
    sink.deliver(letter("x", subject="for bob"), to="Bob@Example.com")
    sink.deliver(letter("x", subject="for a phone"), to="+66812345678@sms.invalid")
    assert [one["subject"] for one in sink.json("/messages?to=bob%40example.com")] == ["for bob"]
    assert [one["subject"] for one in sink.json("/messages?to=%2B66812345678")] == ["for a phone"]
    assert sink.json("/messages?to=%2B6681234567") == []
    assert "No mail to nobody@example.com yet." in sink.page("/?to=nobody@example.com")


@pytest.mark.parametrize("path", ["/", "/messages", "/messages/ID", "/messages/ID/html", "/messages/ID/raw", "/x"])
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_no_answer_lets_a_script_run(sink: Sink, path: str, accept: str) -> None:
    sink.deliver(letter(HOSTILE, html=f"<p>{HOSTILE}</p>", subject=HOSTILE, author=f'"{HOSTILE}" <eve@example.com>'))
    (listed,) = sink.json("/messages")
    answer, body = sink.get(path.replace("ID", listed["id"]), accept=accept)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    if answer.headers["Content-Type"].startswith("text/html") and not path.endswith("html"):
        assert "<script" not in body
        assert "<img" not in body
    if path.endswith("html"):
        # It is as it came, and shut in.
        assert HOSTILE in body
        assert policy.startswith("sandbox;")


def test_the_frame_of_a_mails_html_may_do_nothing(sink: Sink) -> None:
    sink.deliver(letter("x", html="<p>x</p>"))
    (listed,) = sink.json("/messages")
    assert f'sandbox src="/messages/{listed["id"]}/html"' in sink.page(f"/messages/{listed['id']}")


@pytest.mark.parametrize("host", ["billfold.evil.example", "127.0.0.1.evil.example:8025", "", "localhost.evil:1"])
def test_a_name_from_elsewhere_that_points_here_sees_nothing(sink: Sink, host: str) -> None:
    sink.deliver(letter("81726354"))
    answer, body = sink.get("/messages", host=host or "x")
    assert answer.status == 421
    assert "81726354" not in body


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8025", "[::1]:9999"])
def test_this_machine_is_answered_by_each_of_its_names(sink: Sink, host: str) -> None:
    assert sink.get("/messages", host=host)[0].status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/messages/x",
        "/messages/..%2f..%2fmaster.key",
        "/messages/../../master.key",
        "/messages/01a1ff9e-90f0-717b-ace7-00967670f27d",
        "/messages/01a1ff9e-90f0-717b-ace7-00967670f27d/nothing",
        "/messages/a/b/c",
        "/master.key",
    ],
)
def test_what_is_not_there_is_not_found(sink: Sink, path: str) -> None:
    (sink.folder.parent / "master.key").write_text("secret")
    answer, body = sink.get(path)
    assert answer.status == 404
    assert "secret" not in body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no header at all",
        b"\xff\xfe\x00",
        b"Subject: =?utf-8?b?!!!?=\r\nFrom: <<>>,,;:\r\nTo: \r\n\r\nx",
        b"Content-Type: text/plain; charset=no-such-alphabet\r\n\r\nx",
        b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
        b"Content-Type: multipart/alternative\r\n\r\nx",
        b"Content-Transfer-Encoding: base64\r\n\r\n=====",
        b"Date: x\r\nMessage-ID: <[\r\nFrom: \xc3\x28\r\nSubject: \x00\x1b[31m\r\n\r\nx",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2_000)),
    ],
    ids=["empty", "no header", "bytes", "headers", "alphabet", "boundary", "no parts", "base64", "ids", "nested"],
)
def test_a_mail_that_is_none_is_taken_and_shown_all_the_same(sink: Sink, content: bytes) -> None:
    sink.deliver(content)
    (listed,) = sink.json("/messages")
    assert listed["recipients"] == [ADA]
    for path in ("", "/html", "/raw"):
        assert sink.get(f"/messages/{listed['id']}{path}", accept="text/html")[0].status == 200
    assert sink.json(f"/messages/{listed['id']}")["code"] is None
    assert "(no subject)" in sink.page("/") or listed["subject"]


def test_a_mail_can_not_say_who_it_was_delivered_to(sink: Sink) -> None:
    sink.deliver(b"Delivered-To: bob@example.com\r\nReturn-Path: <bank@example.com>\r\n\r\nx")
    (listed,) = sink.json("/messages")
    assert (listed["recipients"], listed["sender"]) == ([ADA], "no-reply@example.com")


def test_the_oldest_mails_give_way(sink: Sink) -> None:
    for number in range(25):
        sink.deliver(letter("x", subject=str(number)))
    assert [one["subject"] for one in sink.json("/messages")] == [str(number) for number in range(24, 4, -1)]
    assert len(list(sink.folder.iterdir())) == 20


def test_large_mails_give_way_sooner(sink: Sink) -> None:
    for number in range(5):
        sink.deliver(letter("x" * 72 + "\r\n") + ("y" * 70 + "\r\n") * 14_000 + str(number))
    assert len(sink.json("/messages")) == 3
    assert sum(file.stat().st_size for file in sink.folder.iterdir()) <= 3 * receiving.MESSAGE_MAX_BYTES


def test_a_mail_that_is_too_large_is_refused(sink: Sink) -> None:
    with pytest.raises((smtplib.SMTPDataError, smtplib.SMTPSenderRefused), match=r"Too much|exceeds|large"):
        sink.deliver(letter("") + ("y" * 70 + "\r\n") * 20_000)
    assert sink.json("/messages") == []


def test_on_a_full_disk_the_sender_is_told_to_come_again(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.rename", full)
        with pytest.raises(smtplib.SMTPDataError) as refused:
            sink.deliver(letter("x"))
    assert refused.value.smtp_code == 452
    assert [trouble.strerror for trouble in sink.troubles] == ["No space left on device"]
    assert list(sink.folder.iterdir()) == []
    sink.deliver(letter("x"))
    assert len(sink.json("/messages")) == 1


def test_nobody_else_on_this_machine_reads_the_files(sink: Sink) -> None:
    sink.deliver(letter("x"))
    (file,) = sink.folder.iterdir()
    assert stat.S_IMODE(sink.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_whoever_reads_while_mails_are_thrown_away_misses_them_and_nothing_breaks(sink: Sink) -> None:
    sink.deliver(letter("x"))
    box = Box(sink.folder)
    (message_id,) = box.ids()
    assert box.clear() == 1
    assert box.clear() == 0
    with pytest.raises(MessageUnknown):
        letters.read(box, message_id)
    assert sink.json("/messages") == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Your code:\n\n81726354\n\nIt is good for 10 minutes.", "81726354"),
        ("81726354 is your Billfold code. Tell nobody.", "81726354"),
        ("Use this code:\n\nrst_Zq0-3kWm8Yx1LcVb7NsTpA\n\n21 November 2026", "rst_Zq0-3kWm8Yx1LcVb7NsTpA"),
        ("To set a new password, use this code: Zq03kWm8Yx1LcVb7NsTpAeUoI It is good.", "Zq03kWm8Yx1LcVb7NsTpAeUoI"),
        ("รหัสยืนยัน Billfold ของคุณคือ 81726354 ใช้ได้ภายใน 10 นาที", "81726354"),
        ("Time: 21 November 2026, 19:24 UTC\nDevice: Firefox\nIP address: 192.0.2.7", None),
        ("", None),
    ],
)
def test_the_code_in_a_mail_is_found(text: str, code: str | None) -> None:
    assert letters.code_in(text) == code
