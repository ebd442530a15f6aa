"""docs/how-to/run-with-kafka.md: with what stands there a stack runs on Kafka, and no NATS."""

import json
import re
from pathlib import Path

from tests import servers
from tests.docs import blocks, shell, stack

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-with-kafka.md"


def test_what_the_page_says_runs_a_stack_on_kafka(kafka_server: servers.KafkaServer, tmp_path: Path) -> None:
    exported = dict(re.findall(r"export BILLFOLD_(\w+)=(\S+)", PAGE.read_text(encoding="utf-8")))
    assert exported["KAFKA__SERVERS"] == "127.0.0.1:9092"
    exported["KAFKA__SERVERS"] = kafka_server.url
    with stack.running(tmp_path, **exported) as environment:
        record = json.loads((tmp_path / "data" / "stack.json").read_text(encoding="utf-8"))
        assert set(record["processes"]) == {"postgres", "api", "worker", "mail-sink"}
        assert record["nats_url"] is None
        elsewhere = stack.second_terminal(environment)
        assert re.search(rf"kafka +yours +{kafka_server.url}", stack.told(elsewhere, "status"))
        with shell.running(tmp_path, elsewhere) as bash:
            for example in blocks.examples(PAGE, PAGE.name):
                bash.check(example)
