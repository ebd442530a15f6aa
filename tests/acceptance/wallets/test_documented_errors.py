"""What an operation may be refused for stands in the OpenAPI document."""

from typing import Any

from billfold.platform import web
from tests.acceptance.wallets.api import Api

#: Of all that has to do with the ledger's writer.
WRITING = {"outcome_unknown", "overloaded"}
#: What carries keys and does not wait for the ledger.
OTHERS = {"API keys", "Payment requests"}
#: For which the house pays, with nothing held besides.
UNHELD = {"raiseTheFeeOfARefund"}
DECIDING = {"dead_letter_unknown", "dead_letter_closed", "dead_letter_in_use"}


async def test_whatever_waits_for_the_ledger_says_what_may_come_between(api: Api) -> None:
    document = (await api.client.get(f"{web.PREFIX}/openapi.json")).json()
    writing = [
        operation
        for operation in posts(document)
        if "idempotency_key_in_use" in codes(operation) and operation["tags"][0] not in OTHERS
        if operation["operationId"] not in UNHELD
    ]
    assert len(writing) == 12
    for operation in writing:
        assert codes(operation) >= WRITING, operation["operationId"]


async def test_a_decision_about_a_dead_letter_names_no_key_and_says_what_may_come_between(api: Api) -> None:
    document = (await api.client.get(f"{web.PREFIX}/openapi.json")).json()
    deciding = [operation for operation in posts(document) if operation["tags"] == ["Dead letters"]]
    assert len(deciding) == 2
    for operation in deciding:
        assert codes(operation) >= WRITING | DECIDING, operation["operationId"]
        assert "idempotency_key_in_use" not in codes(operation)


def posts(document: Any) -> list[Any]:
    return [methods["post"] for methods in document["paths"].values() if "post" in methods]


def codes(operation: Any) -> set[str]:
    """The codes of every refusal."""
    found: set[str] = set()
    for answer in operation["responses"].values():
        for content in answer.get("content", {}).values():
            for part in content.get("schema", {}).get("allOf", ()):
                found.update(part.get("properties", {}).get("code", {}).get("enum", ()))
    return found
