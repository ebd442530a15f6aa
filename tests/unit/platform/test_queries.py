"""What no SQL may say, wherever it stands."""

import re
from pathlib import Path

import billfold

SOURCES = Path(billfold.__file__).parent
#: In a RETURNING it is compared with rows that are found already.
_SEARCHES = re.compile(r"^(?!.*RETURNING).*(?:[<>]=?|BETWEEN)\s*clock_timestamp\(\)", re.MULTILINE)


def test_no_query_searches_by_an_instant_that_passes_while_it_runs() -> None:
    """PostgreSQL searches no index by clock_timestamp(): it reads all rows. statement_timestamp() stands still."""
    found = [
        f"{path.relative_to(SOURCES)}: {match[0].strip()}"
        for path in [*SOURCES.rglob("*.py"), *SOURCES.rglob("*.sql")]
        for match in _SEARCHES.finditer(path.read_text())
    ]
    assert found == []


def test_such_a_query_is_found() -> None:
    assert _SEARCHES.search("WHERE seen_at < clock_timestamp() - make_interval(days => $1)")
    assert not _SEARCHES.search("RETURNING id, expires_at <= clock_timestamp()")
