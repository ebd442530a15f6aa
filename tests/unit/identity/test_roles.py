"""Which roles somebody can have together."""

from itertools import chain, combinations

import pytest

from billfold.identity import errors
from billfold.identity.contracts import ACTING_ROLES, OWNING_ROLES, ROLE_SCOPES, ROLES, Role, scopes_of
from billfold.identity.domain import roles as domain


def combined() -> list[frozenset[Role]]:
    """All roles that somebody can have together."""
    every = chain.from_iterable(combinations(ROLES, number) for number in range(1, len(ROLES) + 1))
    found = []
    for some in every:
        try:
            domain.check_together(some)
        except errors.RolesApart:
            continue
        found.append(frozenset(some))
    return found


def test_each_role_is_good_alone_and_has_one_nature_at_most() -> None:
    assert all(frozenset({role}) in combined() for role in ROLES)
    assert {role for role, scopes in ROLE_SCOPES.items() if "operator" in scopes} <= ACTING_ROLES
    assert not ACTING_ROLES & OWNING_ROLES


@pytest.mark.parametrize("reach", ["operator", "everybody:read"])
def test_no_role_lends_its_reach_to_rights_that_another_has_for_its_own_things(reach: str) -> None:
    """Several roles add up: what one may do to its own things, another's reach would make everybody's."""
    # These have no smaller reach that another's could make larger.
    by_themselves = {"audit:read"}
    looks = {scope for scope in scopes_of(frozenset(ROLES)) if scope.endswith(":read")}
    for roles in combined():
        reaching = frozenset(role for role in roles if reach in ROLE_SCOPES[role])
        lent = scopes_of(roles - reaching) - scopes_of(reaching) - by_themselves if reaching else set()
        # Whoever only looks at everybody's things changes none of them by it.
        assert not (lent & looks if reach == "everybody:read" else lent), sorted(roles)


@pytest.mark.parametrize("acting", sorted(ACTING_ROLES))
def test_a_role_for_everybodys_things_takes_the_place_of_those_for_ones_own(acting: Role) -> None:
    assert domain.with_role(["user", "service", "support"], acting) == {"support", acting}
    assert domain.with_role([acting], "auditor") == {"auditor", acting}
    for owning in OWNING_ROLES:
        with pytest.raises(errors.RolesApart):
            domain.with_role([acting], owning)


def test_any_other_role_stands_beside_those_that_are_there() -> None:
    assert domain.with_role(["user"], "support") == {"support", "user"}
