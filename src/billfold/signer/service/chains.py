"""The chains that can be signed for: the modules `keys` and `signing` of each chain's package."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, ParamSpec, TypeVar, cast

import structlog

from billfold import chains
from billfold.chains.signing_port import Keys, Signing
from billfold.kernel.errors import BillfoldError
from billfold.signer import errors

P = ParamSpec("P")
R = TypeVar("R")

log = structlog.get_logger(__name__)


class Tools(NamedTuple):
    """What makes keys and signatures for a chain."""

    keys: Keys
    signing: Signing


#: Finds a chain's by its name, or raises ChainNotSigned.
Chains = Callable[[str], Tools]


@cache
def of(chain: str) -> Tools:
    """Those of the chain. Its libraries are loaded with the first call.

    Raises:
        ChainNotSigned: there is no such chain, or nobody signs for it.
    """
    if chain not in {module.name for module in pkgutil.iter_modules(chains.__path__) if module.ispkg}:
        raise errors.ChainNotSigned
    modules = (f"{chains.__name__}.{chain}.keys", f"{chains.__name__}.{chain}.signing")
    try:
        keys, signing = (importlib.import_module(name) for name in modules)
    except ModuleNotFoundError as error:
        if error.name not in modules:
            raise
        raise errors.ChainNotSigned from error
    return Tools(cast("Keys", keys), cast("Signing", signing))


def load() -> None:
    """Load those of all chains, so that nobody's first call waits for libraries that take seconds."""
    for module in pkgutil.iter_modules(chains.__path__):
        # One that is not installed is met again by whoever asks for that chain.
        with contextlib.suppress(errors.ChainNotSigned, ModuleNotFoundError):
            of(module.name)


def guarded(call: Callable[P, R], /, *args: P.args, **named: P.kwargs) -> R:
    """What the code of a chain says. Of what goes wrong in it, its kind alone is told: the rest might have a key in it.

    Raises:
        BillfoldError: what it refuses, or ChainFailed.
    """
    try:
        return call(*args, **named)
    except BillfoldError:
        raise
    except Exception as failure:  # noqa: BLE001 - whatever a library meets, no transaction is signed.
        log.error("the code of a chain failed", error=type(failure).__name__, call=getattr(call, "__qualname__", "?"))  # noqa: TRY400
        raise errors.ChainFailed from None
