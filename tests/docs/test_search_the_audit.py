"""docs/how-to/search-the-audit.md: its commands bring records from a real stack to real sinks."""

import json
import re
from pathlib import Path
from urllib.request import urlopen

from billfold.app.settings import load
from tests import servers
from tests.docs import blocks, shell, stack

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "search-the-audit.md"


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    (settings,) = [
        fence.code for fence in blocks.fences(PAGE.read_text(encoding="utf-8")) if "[audit.sinks" in fence.code
    ]
    file = tmp_path / "billfold.toml"
    file.write_text(settings, encoding="utf-8")
    assert load(file=file, environ={}).settings.audit.sinks.opensearch.user == "billfold"


def test_what_the_page_says_finds_what_was_done(
    mongo_server: servers.MongoServer, opensearch_server: servers.OpenSearchServer, tmp_path: Path
) -> None:
    sinks = {"audit__sinks__mongodb__url": mongo_server.url, "audit__sinks__opensearch__url": opensearch_server.url}
    with stack.running(tmp_path, **sinks) as environment, shell.running(tmp_path, environment) as bash:
        for example in blocks.examples(PAGE, PAGE.name):
            bash.check(example)
        record = json.loads((Path(environment["BILLFOLD_DATA"]) / "stack.json").read_text(encoding="utf-8"))
        with urlopen(record["metrics_urls"]["worker"]) as answer:  # noqa: S310 - an address of our own stack.
            said = answer.read().decode()
        for name in re.findall(r"^\| `(billfold_\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
            assert name in said, name
