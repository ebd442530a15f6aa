"""Structured logs: one line each, with the role and the request it belongs to, and never a secret."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Literal

import structlog

#: Set by the HTTP edge for the time of a request.
request_id: ContextVar[bytes] = ContextVar("request_id", default=b"")
#: The caller's trace that the request is a part of, where it names one.
trace_id: ContextVar[bytes] = ContextVar("trace_id", default=b"")

_MASK = "********"
#: Values under these names are never written, whatever they hold.
_SECRET_NAMES = re.compile(
    r"password|passwd|secret|token|api_?key|authorization|credential|cookie|private|dsn", re.IGNORECASE
)
#: Secrets within a text: API keys and refresh tokens of ours, JWTs, bearer credentials, and the password of a URL.
_SECRET_TEXTS = (
    (re.compile(r"\bbf_(test|live)_[A-Za-z0-9_-]+"), rf"bf_\1_{_MASK}"),
    (re.compile(r"\bbfr_[A-Za-z0-9_-]+"), f"bfr_{_MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"), f"eyJ{_MASK}"),
    (re.compile(r"\b(bearer|basic) +[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {_MASK}"),
    (re.compile(r"(://[^:/@\s]*):[^@\s]+@"), rf"\1:{_MASK}@"),
    (re.compile(r"(password\s*[=:]\s*)\S+", re.IGNORECASE), rf"\1{_MASK}"),
)
#: What ends a line, or moves a terminal's cursor.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: Deeper structures are written as they print.
_DEPTH_MAX = 5

Event = MutableMapping[str, Any]


def configure(
    *, role: str, level: Literal["debug", "info", "warning", "error"], form: Literal["console", "json"]
) -> None:
    """Make structlog and the standard library's logging write to standard error, each line with `role`."""
    number = getattr(logging, level.upper())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _with_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _logger, _method, event: {"role": role, **event},
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        masked,
    ]
    writer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, writer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_with_logger, _in_one_line, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, writer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def masked(_logger: object, _method: str, event: Event) -> Event:
    """The event without secrets: those that a name gives away, and those that a text gives away."""
    # structlog's own entries begin with an underscore, and leave before anything is written.
    return {name: value if name.startswith("_") else _clean(name, value, 0) for name, value in event.items()}


def mask_text(text: str) -> str:
    """`text` without the secrets that can be told by their form."""
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


def _clean(name: str, value: object, depth: int) -> object:
    if _SECRET_NAMES.search(name):
        return _MASK
    if isinstance(value, dict) and depth < _DEPTH_MAX:
        return {key: _clean(str(key), inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEPTH_MAX:
        return [_clean("", inner, depth + 1) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return mask_text(str(value))


def _with_request(_logger: object, _method: str, event: Event) -> Event:
    known = (("request_id", request_id.get()), ("trace_id", trace_id.get()))
    return {**{name: current.decode() for name, current in known if current}, **event}


def _with_logger(_logger: object, _method: str, event: Event) -> Event:
    record = event.get("_record")
    return {"logger": record.name, **event} if isinstance(record, logging.LogRecord) else event


def _in_one_line(_logger: object, _method: str, event: Event) -> Event:
    """What a library warns of mends itself, such as a connection that is made again: its trace helps nobody.

    And what it says may have been said by strangers, who could write a line of ours into it.
    """
    event["event"] = _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], str(event["event"]))
    record = event.get("_record")
    if isinstance(record, logging.LogRecord) and record.levelno < logging.ERROR and record.exc_info:
        event["error"] = repr(record.exc_info[1])
        event.pop("exc_info", None)
    return event
