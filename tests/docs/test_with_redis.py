"""The pages under docs/ that are about a stack with a Redis: what is marked to be run does what the page says."""

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests import servers
from tests.docs import blocks, shell, stack

PAGES = [
    page
    for page in sorted((Path(__file__).parents[2] / "docs").rglob("*.md"))
    if blocks.stack_of(page.read_text(encoding="utf-8")) == "redis"
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_do_what_it_says_with_a_redis(
    page: Path, redis_server: servers.RedisServer, tmp_path: Path
) -> None:
    with (
        stack.running(tmp_path, balances__redis_url=redis_server.url) as environment,
        shell.running(tmp_path, stack.second_terminal(environment)) as bash,
    ):
        for example in blocks.examples(page, page.name):
            bash.check(example)
        assert _written_by_the_worker(environment)


def _written_by_the_worker(environment: Mapping[str, str]) -> bool:
    """Whether events have got into Redis."""
    record = json.loads((Path(environment["BILLFOLD_DATA"]) / "stack.json").read_text(encoding="utf-8"))
    deadline = time.monotonic() + shell.DEADLINE_S
    while time.monotonic() < deadline:
        with urlopen(record["metrics_urls"]["worker"]) as answer:  # noqa: S310 - an address of our own stack.
            found = re.search(
                r'^billfold_balances_writes_total{outcome="written"} (\S+)', answer.read().decode(), re.MULTILINE
            )
        if found is not None and float(found[1]) > 0:
            return True
        time.sleep(0.1)
    return False
