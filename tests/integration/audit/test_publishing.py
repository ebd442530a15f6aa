"""Signed heads leave the machine: each in its order, none left out, also when a place was away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from billfold.audit import Audit, errors, places
from billfold.audit.domain import notes
from billfold.kernel.errors import Unavailable
from billfold.platform import host
from billfold.platform.postgres.database import Database
from tests import facades
from tests.integration.audit import support


@contextmanager
def keeping(port: int, taken: list[str], status: int = 204) -> Iterator[None]:
    """Somebody who keeps what is sent there."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["content-length"])).decode())
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def sealed(audit: Audit, *sizes: int) -> list[str]:
    before = 0
    for size in sizes:
        await audit.recording.add(support.facts(size - before, start=before))
        await audit.sealing.seal()
        before = size
    return [head.note for head in reversed((await audit.reading.heads()).items)]


async def test_a_file_gets_every_head_once(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "heads.txt"
    audit = Audit(database=database, envelope=facades.ENVELOPE, places=places(file=file, url=None))
    made = await sealed(audit, 1, 3, 300)
    (place,) = audit.publishing.places
    assert await audit.publishing.publish(place) == 3
    assert await audit.publishing.publish(place) == 0
    assert [note.head.size for note in notes.read_all(file.read_text())] == [1, 3, 300]
    assert file.read_text() == "\n".join(made) + "\n"


async def test_a_file_that_can_not_be_written_is_told_of_and_tried_again(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "not there"
    audit = Audit(database=database, envelope=facades.ENVELOPE, places=places(file=folder / "heads", url=None))
    await sealed(audit, 1)
    (place,) = audit.publishing.places
    with pytest.raises(errors.PublishingFailed):
        await audit.publishing.publish(place)
    folder.mkdir()
    assert await audit.publishing.publish(place) == 1


async def test_a_web_address_that_was_away_gets_what_it_has_missed_in_order(database: Database) -> None:
    port = host.free_port()
    url = f"http://127.0.0.1:{port}/heads?token=secret"
    audit = Audit(database=database, envelope=facades.ENVELOPE, places=places(file=None, url=url))
    made = await sealed(audit, 1, 2, 3)
    (place,) = audit.publishing.places
    assert "secret" not in place.name
    with pytest.raises(Unavailable):
        await audit.publishing.publish(place)
    refused: list[str] = []
    with keeping(port, refused, status=503), pytest.raises(errors.PublishingFailed):
        await audit.publishing.publish(place)
    assert refused == made[:1]
    taken: list[str] = []
    with keeping(port, taken):
        assert await audit.publishing.publish(place) == 3
    assert taken == made
