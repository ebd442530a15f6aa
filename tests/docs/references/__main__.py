"""Writes the parts into their pages."""

import tempfile
from pathlib import Path

from tests.docs import stack
from tests.docs.references import FOLDER, PAGES, refreshed, running

with tempfile.TemporaryDirectory() as folder, stack.running(Path(folder)) as environment:
    seen = running.look(environment)
    for name, parts in PAGES.items():
        page = FOLDER / name
        page.write_text(refreshed(page.read_text(encoding="utf-8"), parts(seen)), encoding="utf-8")
