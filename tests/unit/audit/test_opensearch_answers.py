"""What an index answers, and what becomes of the records that it was given."""

from collections.abc import Mapping
from typing import Any

import httpx2
import msgspec
import pytest

from billfold.audit import errors
from billfold.audit.adapters.sinks_opensearch import OpensearchTarget
from billfold.audit.contracts import AuditRecord, Origin

RECORDS = [
    AuditRecord(
        position=position,
        type="wallet.frozen.v1",
        source="/billfold/wallets",
        id=f"id-{position}",
        subject="a wallet",
        time="2026-01-31T12:00:00.123456Z",
        outcome="done",
        origin=Origin(channel="api"),
    )
    for position in range(2)
]


def item(status: int, type_: str = "mapper_parsing_exception") -> Mapping[str, Any]:
    return {"create": {"status": status} | ({} if status < 300 else {"error": {"type": type_, "reason": "why"}})}


def bulk(*statuses: int) -> Mapping[str, Any]:
    return {"items": [item(status) for status in statuses]}


async def written(status: int, body: Any) -> None:
    """Write two records to what gives this answer."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.startswith("/_bulk"):
            return httpx2.Response(200, json={"index_templates": [{"index_template": {"version": 99}}]})
        content = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
        return httpx2.Response(status, content=content)

    async with httpx2.AsyncClient(base_url="http://index", transport=httpx2.MockTransport(answer)) as client:
        await OpensearchTarget(client, "audit").write(RECORDS)


@pytest.mark.parametrize("statuses", [(201, 201), (200, 201), (409, 201), (409, 409)])
async def test_what_is_there_is_there_whoever_put_it(statuses: tuple[int, int]) -> None:
    await written(200, bulk(*statuses))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"error": {"type": "rejected"}}),
        (503, ""),
        (401, {"error": "no"}),
        (404, ""),
        (400, "<h1>The plain HTTP request was sent to HTTPS port</h1>"),
        (200, "<h1>Welcome</h1>"),
        (200, bulk(201)),
        (200, {}),
        (200, bulk(201, 429)),
        (200, bulk(503, 400)),
        (200, bulk(400, 403)),
        (200, {"items": [item(201), item(400, "validation_exception")]}),
    ],
)
async def test_what_is_no_records_fault_is_tried_again(status: int, body: Any) -> None:
    with pytest.raises(errors.SinkUnavailable) as raised:
        await written(status, body)
    assert raised.value.retryable


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, bulk(201, 400)),
        (200, bulk(409, 400)),
        (413, "<h1>Too large</h1>"),
        (400, {"error": {"type": "illegal_argument_exception", "reason": "id is too long"}}),
    ],
)
async def test_what_is_a_records_fault_is_refused(status: int, body: Any) -> None:
    with pytest.raises(errors.SinkRefused):
        await written(status, body)
