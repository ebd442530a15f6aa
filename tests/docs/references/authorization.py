"""Who may call which operation: every operation of the OpenAPI document, and every role."""

from billfold.identity.contracts import ROLE_SCOPES, ROLES
from tests import matrix
from tests.docs.references.running import Running
from tests.docs.references.tables import table


def parts(seen: Running) -> dict[str, str]:
    """The operations that take credentials, by role; and those that take none."""
    policies = sorted(matrix.policies(seen.openapi), key=lambda policy: (policy.path, policy.method))
    heads = ("operation", "scope", *ROLES, "API key", "step-up")
    return {
        "matrix": table(heads, (_row(policy) for policy in policies if policy.scopes is not None)),
        "open": "".join(f"- `{policy.name}`\n" for policy in policies if policy.scopes is None),
    }


def roles(_seen: Running) -> dict[str, str]:
    """What each role is for, and what it carries."""
    rows = ((f"`{role}`", meaning, " ".join(f"`{one}`" for one in sorted(ROLE_SCOPES[role])))
            for role, meaning in ROLES.items())  # fmt: skip
    return {"roles": table(("role", "is for", "carries"), rows)}


def _row(policy: matrix.Policy) -> list[str]:
    assert policy.ways is not None
    needed = " or ".join(" ".join(f"`{scope}`" for scope in sorted(way)) for way in policy.ways) or "any"
    marks = [matrix.YES if mark else matrix.NO for mark in (policy.by_key(), policy.step_up)]
    return [f"`{policy.name}`", needed, *(policy.of_role(role) for role in ROLES), *marks]
