"""The sink's page, and the same as JSON, on this machine alone.

    /                      the list, which refreshes itself
    /messages              the list as JSON; ?to= for those to an address or phone
    /messages/{id}         a mail: a page for browsers, JSON for programs
    /messages/{id}/html    its HTML, for the frame in that page
    /messages/{id}/raw     as it came
    /healthz               whether it answers

Mails are written by strangers, so no script runs anywhere here, and a mail's HTML is shut in a frame that can do
nothing (CSP `sandbox`). Whoever names us by another name than this machine's gets nothing: a page from elsewhere whose
name points here now (DNS rebinding) could read the codes otherwise.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from billfold.platform.mail.sink import letters
from billfold.platform.mail.sink.box import Box, MessageUnknown

if TYPE_CHECKING:
    import jinja2

HOST = "127.0.0.1"
#: How a browser on this machine may name us, whatever the port: it may have been forwarded.
_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: A mail may look as it likes, and that is all.
_MAIL_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
#: Whoever connects and says nothing.
TIMEOUT_S = 10
_LOOK_FOR_END_S = 0.1


class Answer(msgspec.Struct, frozen=True):
    """What goes back."""

    status: int
    content_type: str
    body: bytes
    policy: str = _PAGE_POLICY


class Pages:
    """What is at which path."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def answer(self, target: str, *, wants_page: bool) -> Answer:
        """The answer to a GET."""
        parts = urlsplit(target)
        to = parse_qs(parts.query).get("to", [None])[0]
        match [unquote(part) for part in parts.path.split("/")[1:]]:
            case [""]:
                return _page("list", messages=letters.newest(self._box, to=to), to=to)
            case ["healthz"]:
                return _json({"status": "ok"})
            case ["style.css"]:
                return Answer(200, "text/css", _style())
            case ["messages"]:
                return _json(letters.newest(self._box, to=to))
            case ["messages", message_id, *more] if len(more) <= 1:
                return self._of_message(message_id, "".join(more), wants_page=wants_page)
        return _not_found("There is nothing here; the list is at /.")

    def _of_message(self, message_id: str, what: str, *, wants_page: bool) -> Answer:
        try:
            match what:
                case "raw":
                    return Answer(200, "text/plain", self._box.read(message_id))
                case "html":
                    return _mail(letters.read(self._box, message_id).html or "")
                case "":
                    letter = letters.read(self._box, message_id)
                    return _page("message", letter=letter) if wants_page else _json(letter)
        except MessageUnknown as error:
            return _not_found(error.detail)
        return _not_found("There is nothing here; the list is at /.")


@contextlib.contextmanager
def listening(box: Box, *, port: int) -> Iterator[int]:
    """Show `box` until the block ends; gives the port (chosen by the system if 0).

    Raises:
        OSError: the port is taken.
    """
    pages = Pages(box)

    class Handler(_Handler):
        """Bound to these pages."""

        def do_GET(self) -> None:
            self.respond(pages)

    with ThreadingHTTPServer((HOST, port), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(_LOOK_FOR_END_S,), name="mail sink", daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_S
    server_version = "Billfold"
    sys_version = ""

    def respond(self, pages: Pages) -> None:
        """Answer a GET."""
        host = self.headers.get("Host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name in _NAMES:
            answer = pages.answer(self.path, wants_page="text/html" in self.headers.get("Accept", ""))
        else:
            answer = Answer(421, "text/plain", b"The mail sink is at 127.0.0.1 and by no other name.\n")
        self.send_response(answer.status)
        headers = {
            "Content-Type": f"{answer.content_type}; charset=utf-8",
            "Content-Length": str(len(answer.body)),
            "Content-Security-Policy": answer.policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
            "Vary": "Accept",
        }
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, _form: str, *_values: object) -> None:
        """No line for each request: a page asks every two seconds."""


def _page(name: str, **values: object) -> Answer:
    return Answer(200, "text/html", _templates().get_template(f"{name}.html.j2").render(values).encode())


def _mail(html: str) -> Answer:
    return Answer(200, "text/html", html.encode(errors="replace"), _MAIL_POLICY)


def _json(value: object) -> Answer:
    return Answer(200, "application/json", msgspec.json.encode(value) + b"\n")


def _not_found(detail: str) -> Answer:
    return Answer(404, "text/plain", f"{detail}\n".encode())


@cache
def _templates() -> jinja2.Environment:
    # Most stacks start without anybody looking at this page, and all are to start soon.
    import jinja2  # noqa: PLC0415

    return jinja2.Environment(
        loader=jinja2.PackageLoader("billfold.platform.mail.sink", "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> bytes:
    return resources.files("billfold.platform.mail.sink").joinpath("pages", "style.css").read_bytes()
