"""The service definitions in `proto/`: their Python is that of today, and they keep the rules of buf's STANDARD set."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FileDescriptor

from billfold.ledger.rpc.v1 import ledger_pb2
from billfold.signer.rpc.v1 import signer_pb2
from tests.architecture import protos

FILES: dict[str, FileDescriptor] = {"ledger": ledger_pb2.DESCRIPTOR, "signer": signer_pb2.DESCRIPTOR}
_PASCAL = re.compile(r"[A-Z][A-Za-z0-9]*")
_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@pytest.fixture(params=protos.CONTEXTS)
def file(request: pytest.FixtureRequest) -> FileDescriptor:
    return FILES[request.param]


@pytest.mark.parametrize("context", protos.CONTEXTS)
def test_the_python_is_what_the_compiler_makes_today(context: str) -> None:
    found = {path.name: path.read_text() for path in protos.target(context).iterdir() if path.is_file()}
    assert found == protos.generated(context), "run `python -m tests.architecture.protos`"


def test_every_definition_is_compiled() -> None:
    found = {str(path.relative_to(protos.PROTO)) for path in protos.PROTO.rglob("*.proto")}
    assert found == {protos.source(context) for context in protos.CONTEXTS}


def test_a_package_has_a_version_and_lies_in_the_folder_of_its_name(file: FileDescriptor) -> None:
    assert re.fullmatch(r"billfold\.\w+\.v[1-9]\d*", file.package)
    assert Path(file.name).parent.parts == tuple(file.package.split("."))


def test_a_method_has_a_request_and_a_response_of_its_own_name(file: FileDescriptor) -> None:
    used: Counter[str] = Counter()
    for service in file.services_by_name.values():
        assert service.name.endswith("Service")
        for method in service.methods:
            assert method.input_type.name == f"{method.name}Request"
            assert method.output_type.name == f"{method.name}Response"
            used.update([method.input_type.name, method.output_type.name])
    assert set(used.values()) == {1}


def test_the_zero_of_an_enum_is_unspecified_and_its_values_carry_its_name(file: FileDescriptor) -> None:
    for enum in _enums(file):
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper()
        assert enum.values_by_number[0].name == f"{prefix}_UNSPECIFIED"
        assert all(value.name.startswith(f"{prefix}_") for value in enum.values)


def test_messages_and_fields_are_written_as_everywhere(file: FileDescriptor) -> None:
    for message in _messages(file.message_types_by_name.values()):
        assert _PASCAL.fullmatch(message.name)
        assert all(_SNAKE.fullmatch(field.name) for field in message.fields)


def test_there_is_no_floating_point_number(file: FileDescriptor) -> None:
    floating = {"TYPE_DOUBLE", "TYPE_FLOAT"}
    for message in _messages(file.message_types_by_name.values()):
        for field in message.fields:
            assert field.type not in {getattr(field, name) for name in floating}, field.full_name


def _messages(found: Any) -> Iterator[Descriptor]:
    for message in found:
        if not message.GetOptions().map_entry:
            yield message
            yield from _messages(message.nested_types)


def _enums(file: FileDescriptor) -> Iterator[Any]:
    yield from file.enum_types_by_name.values()
    for message in _messages(file.message_types_by_name.values()):
        yield from message.enum_types
