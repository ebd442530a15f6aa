"""Bodies and query strings into typed structs, and each way in which they can be wrong into its own error.

JSON is decoded by msgspec against the type, strictly. Of a key that stands twice in an object the last one counts.
"""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from billfold.kernel import forms
from billfold.kernel.errors import BillfoldError
from billfold.platform.web import errors

Receive = Callable[[], Awaitable[Any]]

#: Any single order with its texts and metadata at their longest and escaped takes less.
BODY_MAX = 128 * 1024
#: The rest of a body that has begun to come, also over a bad line.
BODY_TIMEOUT_S = 30.0
#: No body of ours is nested deeper than 6; whatever is deeper than this was made to hurt a parser.
NESTING_MAX = 32
#: The longest list of parameters we have is a dozen.
QUERY_PARAMETERS_MAX = 50
QUERY_BYTES_MAX = 8 * 1024
#: A body that is wrong anyway is looked at this far for its nesting, so that finding out takes no time of note.
_LOOKED_AT_BYTES = 64 * 1024

_LISTS = (
    msgspec.inspect.ListType,
    msgspec.inspect.SetType,
    msgspec.inspect.FrozenSetType,
    msgspec.inspect.VarTupleType,
)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_WRONG_TYPE = re.compile(r"Expected `[^`]+`, got `[^`]+`")
_NOT_ENCODED = (b"identity", b"")
#: A number in JSON loses digits in many a reader, so amounts and ids are texts.
_NUMBER_FOR_TEXT = re.compile(r"Expected `str(?: \| null)?`, got `(?:int|float)`")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class ClientGone(Exception):
    """The client hung up before its whole request was read. There is nobody to answer."""


async def read(receive: Receive, headers: Mapping[bytes, bytes], *, body_max: int = BODY_MAX) -> bytes:
    """The whole JSON body.

    Raises:
        UnsupportedMediaType: it is declared as something else than JSON in UTF-8.
        UnsupportedContentEncoding: it is declared as compressed.
        BodyTooLarge: more than `body_max` bytes are declared or come.
        RequestTimeout: it does not come in time.
        ClientGone: the client hung up.
    """
    if not _is_json(headers.get(b"content-type", b"")):
        raise errors.UnsupportedMediaType
    if headers.get(b"content-encoding", b"identity").lower() not in _NOT_ENCODED:
        raise errors.UnsupportedContentEncoding
    length = headers.get(b"content-length")
    if length is not None and length.isdigit() and int(length) > body_max:
        raise _too_large(body_max)
    message = await receive()
    first: bytes = message.get("body", b"")
    if not message.get("more_body") and message["type"] == "http.request" and len(first) <= body_max:
        return first
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _rest(receive, message, body_max)
    except TimeoutError:
        raise errors.RequestTimeout from None


async def _rest(receive: Receive, message: Any, body_max: int) -> bytes:
    """The whole of a body that comes in pieces, of which `message` is the first."""
    parts, size = [], 0
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > body_max:
            raise _too_large(body_max)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    raise ClientGone


def body(raw: bytes, form: Any) -> Any:
    """The `form` that the JSON in `raw` stands for.

    Raises:
        MalformedJson, NestingTooDeep: it is no JSON that can be looked into.
        UnknownField, MissingField, WrongType, InvalidValue: the field that the error's pointer names.
    """
    try:
        return _decoder(form).decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _explained(error, raw) from None


def query(query_string: bytes, form: type[msgspec.Struct] | None, *, is_open: bool = False) -> Any:
    """The `form` that a query string stands for; without a form there may be no parameter at all.

    Parameters that the form does not know are refused, or where it `is_open` passed over.

    Raises:
        UnknownQueryParameter, InvalidQueryParameter: the parameter that the error's pointer names.
    """
    if not query_string and form is None:
        return None
    names, lists = _parameters(form) if form is not None else ((), frozenset())
    values: dict[str, Any] = {}
    for name, value in _known(_pairs(query_string), names, is_open=is_open):
        if name in lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise errors.InvalidQueryParameter(f"{name} is given more than once.", pointer=name)
        else:
            values[name] = value
    if form is None:
        return None
    try:
        found = msgspec.convert(values, form, strict=False)
    except msgspec.ValidationError as error:
        text, pointer = forms.placed(error)
        parameter = "".join(pointer.split("/")[1:2]) or _named(text)
        raise errors.InvalidQueryParameter(f"{parameter}: {forms.sentence(text)}", pointer=parameter) from None
    for field in msgspec.structs.fields(form) if b"null" in query_string.lower() else ():
        # msgspec takes the text for the absence of a value, and a filter that is passed over is a wrong answer.
        if field.encode_name in values and getattr(found, field.name) is None:
            name = field.encode_name
            raise errors.InvalidQueryParameter(f"{name}: null is no value; leave it out.", pointer=name)
    return found


@cache
def _decoder(form: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(form)


@cache
def _parameters(form: type[msgspec.Struct]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The names of a form's parameters, and those of them that may stand more than once."""
    fields = msgspec.structs.fields(form)
    lists = (field.encode_name for field in fields if isinstance(msgspec.inspect.type_info(field.type), _LISTS))
    return tuple(field.encode_name for field in fields), frozenset(lists)


def _is_json(content_type: bytes) -> bool:
    if content_type == b"application/json":
        return True
    kind, _, parameters = content_type.lower().partition(b";")
    charset = parameters.replace(b" ", b"").replace(b'"', b"")
    return kind.strip() == b"application/json" and charset in {b"", b"charset=utf-8", b"charset=utf8"}


def _too_large(body_max: int) -> errors.BodyTooLarge:
    return errors.BodyTooLarge(f"The body is larger than the {body_max} bytes that this operation takes.")


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    if len(query_string) > QUERY_BYTES_MAX:
        raise errors.InvalidQueryParameter(f"The query is longer than {QUERY_BYTES_MAX} bytes.")
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_PARAMETERS_MAX
        )
    except ValueError:
        raise errors.InvalidQueryParameter(
            "The query is not percent-encoded UTF-8, or has too many parameters."
        ) from None
    for name, value in pairs:
        # PostgreSQL can't store the character NUL, so nothing that we could find has it.
        if "\0" in value:
            raise errors.InvalidQueryParameter(f"{name} contains the character NUL.", pointer=name)
    return pairs


def _known(pairs: list[tuple[str, str]], names: tuple[str, ...], *, is_open: bool) -> list[tuple[str, str]]:
    unknown = [] if is_open else [name for name, _ in pairs if name not in names]
    if unknown:
        raise errors.UnknownQueryParameter(_unknown_parameter(unknown[0], names), pointer=unknown[0])
    return [pair for pair in pairs if pair[0] in names]


def _unknown_parameter(name: str, names: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    known = (
        f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}." if names else "there are none here."
    )
    return f"There is no query parameter {name[:100]!r}; {known}"


def _explained(error: Exception, raw: bytes) -> BillfoldError:
    """The error that says what is wrong with `raw`; the happy path does not pay for finding out."""
    if isinstance(error, RecursionError) or _depth(raw) > NESTING_MAX:
        return errors.NestingTooDeep(f"The body nests objects and arrays deeper than {NESTING_MAX}.")
    if isinstance(error, UnicodeDecodeError):
        return errors.MalformedJson("The body is not UTF-8.")
    text, pointer = forms.placed(error)
    if not isinstance(error, msgspec.ValidationError):
        return errors.MalformedJson("The body is empty." if not raw.strip() else f"The body is not JSON: {text}.")
    if found := _UNKNOWN.fullmatch(text):
        return errors.UnknownField(
            f"There is no field {found['name'][:100]!r} here; leave it out, or check how it is spelt.",
            pointer=f"{pointer}/{forms.escaped(found['name'])}",
        )
    if found := _MISSING.fullmatch(text):
        return errors.MissingField(f"The field {found['name']!r} is missing.", pointer=f"{pointer}/{found['name']}")
    if _NUMBER_FOR_TEXT.fullmatch(text):
        return errors.WrongType('A number stands where a text belongs; put it in quotes: "1.5".', pointer=pointer)
    kind = errors.WrongType if _WRONG_TYPE.fullmatch(text) else errors.InvalidValue
    return kind(forms.sentence(text), pointer=pointer)


def _named(text: str) -> str | None:
    found = _MISSING.fullmatch(text)
    return found["name"] if found else None


def _depth(raw: bytes) -> int:
    """How deeply arrays and objects are open at most."""
    deepest = depth = 0
    for byte in _STRINGS.sub(b"", raw[:_LOOKED_AT_BYTES]):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
