"""What commands say of devices and approvals is what the page `/account` says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import billfold
from billfold.app.cli import devices, factors
from billfold.custody.service import consenting, exporting

PAGES = Path(billfold.__file__).parent / "identity/rest/pages"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0"


def words(file: str, name: str) -> dict[str, str]:
    """A table of texts in a script."""
    text = (PAGES / file).read_text(encoding="utf-8")
    table = re.findall(rf"const {name} = {{(.*?)}};", text, re.DOTALL)[0]
    return {key.strip('"'): told for key, told in re.findall(r'("[^"]+"|\w+): "([^"]+)"', table)}


def test_devices_are_called_the_same() -> None:
    # In the same order, too: the first that fits counts.
    assert list(words("devices.js", "BROWSERS").items()) == list(devices.BROWSERS.items())
    assert list(words("devices.js", "SYSTEMS").items()) == list(devices.SYSTEMS.items())


def test_operations_are_called_the_same() -> None:
    assert {consenting.KEY, consenting.ADDRESSES, consenting.DISCARD, exporting._OPERATION} <= factors.OPERATIONS.keys()
    assert factors.OPERATIONS.items() <= words("approval.js", "OPERATIONS").items()


@pytest.mark.parametrize(
    ("text", "name"),
    [(FIREFOX, "Firefox on Linux"), (EDGE, "Edge on Windows"), ("Work laptop", "Work laptop"), ("", devices.name(""))],
)
def test_a_browser_is_called_by_its_name_and_system(text: str, name: str) -> None:
    assert devices.name(text) == name
