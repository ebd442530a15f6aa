"""The scopes, and which operations need each."""

from collections import defaultdict
from collections.abc import Mapping

from billfold.identity import contracts
from tests.docs.references.running import Running
from tests.docs.references.tables import table

#: Scopes that open nothing, and let one see more of what others open.
_REACHING = frozenset({"everybody:read", "approvals:read"})


def parts(seen: Running) -> dict[str, str]:
    """The scopes, each with the operations that need it."""
    operations = _operations(seen)
    rows = [
        (f"`{scope}`", meaning, "<br>".join(f"`{operation}`" for operation in operations.get(scope, ())))
        for scope, meaning in contracts.SCOPES.items()
    ]
    return {"scopes": table(("scope", "lets its bearer", "operations"), rows)}


def _operations(seen: Running) -> Mapping[str, list[str]]:
    """The operations that need each scope."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path, methods in seen.openapi["paths"].items():
        for method, operation in methods.items():
            for scope in (
                scope for way in operation.get("security", ()) for scopes in way.values() for scope in scopes
            ):
                found[scope].append(f"{method.upper()} {path.removeprefix('/api/v1')}")
            reach = operation.get("x-everybody")
            if reach in _REACHING:
                found[reach].append(f"{method.upper()} {path.removeprefix('/api/v1')}")
    return found
