"""What a browser says of itself, in words that its owner would use: those of the page `/account`."""

from __future__ import annotations

from collections.abc import Mapping

#: The first that fits: each also says that it is those behind it.
BROWSERS = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
SYSTEMS = {
    "iPhone": "an iPhone",
    "iPad": "an iPad",
    "Android": "Android",
    "Windows NT": "Windows",
    "Mac OS X": "a Mac",
    "Linux": "Linux",
}


def name(text: str) -> str:
    """Such as Firefox on Linux; a name that was given stays as it is."""
    browser, system = _known(BROWSERS, text), _known(SYSTEMS, text)
    if not text:
        return "A device that has not said what it is"
    return f"{browser} on {system}" if browser and system else text


def _known(names: Mapping[str, str], text: str) -> str | None:
    return next((known for sign, known in names.items() if sign in text), None)
