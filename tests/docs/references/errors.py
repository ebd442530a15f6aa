"""Every error code, from the error classes; the API's OpenAPI document says which it sends."""

import importlib
import pkgutil

import billfold
from billfold.app.cli import exits
from billfold.kernel.errors import BillfoldError, catalogue
from billfold.ledger.errors import LedgerError
from billfold.notifications import errors as notifications_errors
from billfold.notifications.rest import sockets
from billfold.platform.web.errors import MethodNotAllowed, RouteNotFound
from billfold.platform.web.problems import status_of
from tests.docs.references.running import Running
from tests.docs.references.tables import table

#: What the edge answers for paths and methods that no operation has, so that no operation names it.
_OF_NO_OPERATION = (RouteNotFound, MethodNotAllowed)


def parts(seen: Running) -> dict[str, str]:
    """What the API answers with, what its WebSocket says, what only commands and processes meet, and all families."""
    for module in pkgutil.walk_packages(billfold.__path__, "billfold."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    sent = {*seen.openapi["components"]["examples"], *(error.code for error in _OF_NO_OPERATION)}
    # Tests have errors of their own.
    found = [error for error in catalogue() if error.__module__.startswith("billfold.")]
    families = [error for error in found if _is_family(error)]
    others = [error for error in found if not _is_family(error)]
    answers = ("code", "status", "retryable", "what it says")
    return {
        "answers": table(answers, (_answered(error) for error in others if error.code in sent)),
        "sockets": table(
            ("code", "close code", "retryable", "what it says"),
            (_closed(error) for error in others if error.code not in sent and _is_said_by_sockets(error)),
        ),
        "commands": table(
            ("code", "exit code", "retryable", "what it says"),
            (_ended(error) for error in others if error.code not in sent and not _is_said_by_sockets(error)),
        ),
        "families": table(answers, map(_answered, families)),
    }


def _is_family(error: type[BillfoldError]) -> bool:
    return error.__module__ == BillfoldError.__module__ or error is LedgerError


def _answered(error: type[BillfoldError]) -> tuple[str, str, str, str]:
    return _code(error), str(int(status_of(error))), _retryable(error), _sentence(error)


def _is_said_by_sockets(error: type[BillfoldError]) -> bool:
    return error.__module__ == notifications_errors.__name__


def _closed(error: type[BillfoldError]) -> tuple[str, str, str, str]:
    return _code(error), str(sockets.close_code(error)), _retryable(error), _sentence(error)


def _ended(error: type[BillfoldError]) -> tuple[str, str, str, str]:
    # Some want to be told more when they are made, and the exit code follows from the class alone.
    code = exits.exit_code(error.__new__(error))
    return _code(error), str(code), _retryable(error), _sentence(error)


def _code(error: type[BillfoldError]) -> str:
    return f'<a id="{error.code}"></a>`{error.code}`'


def _retryable(error: type[BillfoldError]) -> str:
    return "yes" if error.retryable else "no"


def _sentence(error: type[BillfoldError]) -> str:
    return (error.__doc__ or "").strip().splitlines()[0]
