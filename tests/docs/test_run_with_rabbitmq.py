"""docs/how-to/run-with-rabbitmq.md: with what stands there a stack runs on RabbitMQ, and no NATS."""

import json
import re
from pathlib import Path

from tests import servers
from tests.docs import blocks, shell, stack

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-with-rabbitmq.md"


def test_what_the_page_says_runs_a_stack_on_rabbitmq(rabbitmq_server: servers.RabbitMQServer, tmp_path: Path) -> None:
    exported = dict(re.findall(r"export BILLFOLD_(\w+)=(\S+)", PAGE.read_text(encoding="utf-8")))
    assert exported["RABBITMQ__URL"].endswith("@127.0.0.1:5672/")
    exported["RABBITMQ__URL"] = rabbitmq_server.url
    with stack.running(tmp_path, **exported) as environment:
        record = json.loads((tmp_path / "data" / "stack.json").read_text(encoding="utf-8"))
        assert set(record["processes"]) == {"postgres", "api", "worker", "mail-sink"}
        assert record["nats_url"] is None
        elsewhere = stack.second_terminal(environment)
        shown = json.loads(stack.told(elsewhere, "status", "--json"))
        assert ":********@" in shown["settings"]["rabbitmq.url"]
        assert shown["addresses"]["rabbitmq"] == shown["settings"]["rabbitmq.url"]
        with shell.running(tmp_path, elsewhere) as bash:
            for example in blocks.examples(PAGE, PAGE.name):
                bash.check(example)
