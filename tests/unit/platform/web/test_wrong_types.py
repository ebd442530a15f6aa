"""A route whose types can't be read or written never gets to serve: nobody finds out by sending something."""

from typing import Annotated, Any

import msgspec
import pytest
from litestar import post
from msgspec import Meta

from billfold.platform import web
from billfold.platform.web import Answer, Call, Route
from tests.unit.platform.web.test_policy import client


class Good(msgspec.Struct):
    """Can be read."""

    name: str | None = None


class Limited(msgspec.Struct):
    """The limit is on the text or nothing, where it must be on the text."""

    name: Annotated[str | None, Meta(max_length=10)] = None


class Ambiguous(msgspec.Struct):
    """Nobody can tell which of them an array is."""

    names: list[str] | set[str]


class Foreign(msgspec.Struct):
    """JSON has no such number."""

    number: complex


def plain(*, command: Any = Good, parameters: Any = Good, answer: Any = Good) -> web.Part:
    async def things(command: Any, parameters: Any) -> Any:
        return command, parameters

    things.__annotations__ |= {"command": command, "parameters": parameters, "return": answer}
    operation = web.operation(summary="Make a thing", tag="Things", scope="things:read")
    return web.Part(handlers=[post("/things", opt=operation)(things)])


def lean(*, command: Any = Good, parameters: Any = Good, answer: Any = Good) -> web.Part:
    async def things(call: Call) -> Answer:
        return Answer(call.command)

    operation = web.Operation(summary="Make a thing", tag="Things", scope="things:read")
    route = Route(
        method="POST", path="/things", handler=things, operation=operation,
        command=command, parameters=parameters, answer=answer,
    )  # fmt: skip
    return web.Part(routes=[route])


@pytest.mark.parametrize("part", [plain, lean])
@pytest.mark.parametrize("where", ["command", "parameters", "answer"])
@pytest.mark.parametrize("form", [Limited, Ambiguous, Foreign])
def test_a_type_that_json_can_not_be_read_into_or_written_from_does_not_start(part: Any, where: str, form: Any) -> None:
    client(part())
    with pytest.raises(TypeError):
        client(part(**{where: form}))
