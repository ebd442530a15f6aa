"""What an operation takes in its path and in its headers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from billfold.kernel import idempotency
from billfold.platform.web import operations, prefer
from billfold.platform.web.openapi.described import Described


def of_path(path: str) -> Iterator[dict[str, Any]]:
    """Each parameter in the path; what is called an id is one."""
    for name in operations.PARAMETER.findall(path):
        is_id = name == "id" or name.endswith("_id")
        schema: dict[str, Any] = {"type": "string", "format": "uuid"} if is_id else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def of_headers(one: Described) -> Iterator[dict[str, Any]]:
    """Each header that makes a difference."""
    if one.shape.idempotent:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "Any text of your own that is unique to this operation. Sent again, it gets the same answer "
            "and nothing happens twice; it is remembered for ever.",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": idempotency.KEY_MAX,
                "pattern": "^[!-~]+$",
            },
            "example": "order-4711",
        }
    if one.shape.stepped_up:
        yield _step_up()
    if one.shape.prefers:
        yield _prefer(one)
    for name, text in one.operation.heeds.items():
        yield {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}


def _step_up() -> dict[str, Any]:
    return {
        "name": "Step-Up",
        "in": "header",
        "required": False,
        "description": "The id of what you have approved, when this was refused with `step_up_required`.",
        "schema": {"type": "string", "format": "uuid"},
    }


def _prefer(one: Described) -> dict[str, Any]:
    waits = f"`wait=N` waits up to N seconds, {prefer.WAIT_MAX_S} at most, for it to end"
    if one.operation.responds_async is None:
        text, example = f"{waits}; the answer is how it is then.", "wait=20"
    else:
        text = (
            f"`respond-async` has it carried out later, and the answer says where to look (RFC 7240); with it {waits}."
        )
        example = "respond-async, wait=5"
    schema = {"type": "string"}
    return {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": text,
        "schema": schema,
        "example": example,
    }
