"""docs/how-to/run-with-rabbitmq.md: with what stands there a stack runs on RabbitMQ, and no NATS."""

import json
import re
from pathlib import Path

from billfold.platform.messaging.brokers import amqp, amqp_queues
from tests import servers
from tests.docs import blocks, shell, stack

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-with-rabbitmq.md"


def test_the_limit_that_the_page_sets_takes_our_messages_and_bounds_what_is_sent_ahead() -> None:
    text = PAGE.read_text(encoding="utf-8")
    (limit,) = (int(found) for found in re.findall(r"^max_message_size = (\d+)$", text, re.MULTILINE))
    assert limit == amqp.BODY_MAX_BYTES
    assert f"up to {amqp_queues.PREFETCH}: a worker" in text
    assert f"{amqp_queues.PREFETCH * limit >> 20} MiB with this limit" in " ".join(text.split())


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
