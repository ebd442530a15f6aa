"""Parts of pages under docs/reference that are made of the product itself.

    settings   the settings tree and its comments
    errors     the error classes, and which of them the API answers with
    scopes     the scopes, and which operations need each; the roles, and which scopes each carries
    matrix     which role may call which operation, and how far it reaches
    metrics    what the processes of a running stack tell

Such a part stands between `<!-- made: NAME -->` and `<!-- end -->`. `python -m tests.docs.references` writes all of
them again, and starts a stack for what only a running one knows.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.docs.references import authorization, errors, metrics, scopes, settings
from tests.docs.references.running import Running

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
#: The parts of each page by their names.
PAGES: Mapping[str, Callable[[Running], dict[str, str]]] = {
    "settings.md": settings.parts,
    "errors.md": errors.parts,
    "roles-and-scopes.md": lambda seen: scopes.parts(seen) | authorization.roles(seen),
    "authorization.md": authorization.parts,
    "metrics.md": metrics.parts,
}

_MADE = re.compile(r"(?P<begin><!-- made: (?P<name>\w+) -->\n\n).*?(?P<end>\n<!-- end -->)", re.DOTALL)


def refreshed(text: str, parts: Mapping[str, str]) -> str:
    """The page with its parts made again; each of them stands on it, once."""
    names = [found["name"] for found in _MADE.finditer(text)]
    assert sorted(names) == sorted(parts), f"the page has the parts {names}, and should have {[*parts]}"
    return _MADE.sub(lambda found: found["begin"] + parts[found["name"]] + found["end"], text)
