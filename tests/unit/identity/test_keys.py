"""How keys are written, and who may create which."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.identity import errors
from billfold.identity.contracts import (
    ALL_SCOPES,
    KEY_SCOPES,
    PERSONAL,
    ROLES,
    SCOPES,
    ApiKey,
    Grant,
    Mode,
    Scope,
    scopes_of,
)
from billfold.identity.domain import keys as domain
from billfold.kernel import ids
from billfold.kernel.principal import Principal

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = bytes(range(32))


@given(key_id=st.uuids(), secret=st.binary(min_size=32, max_size=32), mode=st.sampled_from(["test", "live"]))
def test_the_id_is_found_in_the_text(key_id: UUID, secret: bytes, mode: Mode) -> None:
    text = domain.text_of(key_id, mode, secret)
    assert len(text) == 74
    assert text.startswith(f"bf_{mode}_")
    assert domain.id_in(text.encode()) == key_id


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_two_secrets_have_two_texts(one: bytes, other: bytes) -> None:
    key_id = UUID(int=1)
    assert (domain.text_of(key_id, "live", one) == domain.text_of(key_id, "live", other)) == (one == other)


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"bf_test_",
        b"bf_prod_" + domain.text_of(UUID(int=1), "test", SECRET).encode()[8:],
        domain.text_of(UUID(int=1), "test", SECRET).encode() + b"\n",
        domain.text_of(UUID(int=1), "test", SECRET).encode()[:-1],
        domain.text_of(UUID(int=1), "test", SECRET).encode().replace(b"1", b"-", 1),
        b"bf_test_" + b"z" * 22 + b"_" + b"0" * 43,
        b"\xff" * 74,
        b"bf_test_" + "é".encode() * 33,
    ],
)
def test_what_is_no_key_has_no_id(token: bytes) -> None:
    assert domain.id_in(token) is None


@given(st.binary(max_size=100))
def test_no_token_breaks_the_parser(token: bytes) -> None:
    domain.id_in(token)
    domain.id_in(b"bf_test_" + token)


def a_key(*, expires_at: datetime | None = None, revoked_at: datetime | None = None) -> ApiKey:
    return ApiKey(
        id=str(ids.new()),
        owner_id=str(ids.new()),
        name="key",
        mode="test",
        scopes=["wallets:read"],
        created_at=NOW - timedelta(days=1),
        expires_at=expires_at,
        last_used_at=None,
        revoked_at=revoked_at,
    )


def use(key: ApiKey, *, token: bytes = b"right") -> None:
    domain.check_usable(key, key_hash=domain.hash_of(b"right"), token_hash=domain.hash_of(token), now=NOW)


def test_a_key_can_be_used() -> None:
    use(a_key())
    use(a_key(expires_at=NOW + timedelta(microseconds=1)))


def test_a_key_cannot_be_used_from_its_expiry_on() -> None:
    with pytest.raises(errors.ApiKeyInvalid, match="expired"):
        use(a_key(expires_at=NOW))


def test_a_revoked_key_cannot_be_used() -> None:
    with pytest.raises(errors.ApiKeyInvalid, match="revoked"):
        use(a_key(revoked_at=NOW))


def test_whoever_has_a_wrong_secret_learns_nothing_of_the_key() -> None:
    for key in (a_key(), a_key(revoked_at=NOW), a_key(expires_at=NOW)):
        with pytest.raises(errors.ApiKeyInvalid, match="not known"):
            use(key, token=b"wrong")


def by(*scopes: Scope) -> Principal:
    return Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=frozenset(scopes))


def test_a_key_gives_away_no_more_than_it_has() -> None:
    creator = by("keys:write", "wallets:read")
    for granted in ({"wallets:read"}, {"keys:write", "wallets:read"}):
        domain.check_grant(creator, Grant(owner_id=creator.owner_id, name="k", scopes=frozenset(granted)))
    for refused in ({"operator"}, {"wallets:read", "transfers:write"}, ALL_SCOPES):
        with pytest.raises(errors.ScopeNotYours) as raised:
            domain.check_grant(creator, Grant(owner_id=creator.owner_id, name="k", scopes=frozenset(refused)))
        assert raised.value.pointer == "/scopes"


def test_a_key_creates_keys_for_its_own_owner_alone() -> None:
    with pytest.raises(errors.OwnerNotYours):
        domain.check_grant(by("keys:write"), Grant(owner_id=ids.new(), name="k", scopes=frozenset({"keys:write"})))


def test_an_operator_creates_keys_for_anybody_and_gives_away_no_more_than_it_has() -> None:
    operator = by("operator", "wallets:read")
    domain.check_grant(operator, Grant(owner_id=ids.new(), name="k", scopes=frozenset({"wallets:read"})))
    with pytest.raises(errors.ScopeNotYours, match="withdrawals:write"):
        domain.check_grant(operator, Grant(owner_id=ids.new(), name="k", scopes=frozenset({"withdrawals:write"})))


def test_a_person_creates_keys_for_themselves_alone_whatever_their_roles() -> None:
    for role in ROLES:
        person = ids.new()
        for is_session in (True, False):
            asking = Principal(
                credential_id=ids.new(),
                owner_id=person,
                scopes=scopes_of(frozenset({role})) | {"keys:write"},
                user_id=person,
                is_session=is_session,
            )
            domain.check_grant(asking, Grant(owner_id=person, name="k", scopes=frozenset({"keys:write"})))
            with pytest.raises(errors.OwnerNotYours):
                domain.check_grant(asking, Grant(owner_id=ids.new(), name="k", scopes=frozenset({"keys:write"})))


@pytest.mark.parametrize("scope", sorted(PERSONAL))
def test_what_needs_a_person_who_has_logged_in_is_on_no_key(scope: Scope) -> None:
    asking = by("keys:write", scope)
    with pytest.raises(errors.ScopeNotYours, match=f"No key has the scope {scope}"):
        domain.check_grant(asking, Grant(owner_id=asking.owner_id, name="k", scopes=frozenset({scope})))


def test_a_key_is_outlived_by_none_that_it_creates() -> None:
    creator = a_key(expires_at=NOW)
    domain.check_creator(creator, NOW)
    for later in (NOW + timedelta(microseconds=1), None):
        with pytest.raises(errors.ExpiryNotYours, match="ends at 2026-11-21T12:00:00") as raised:
            domain.check_creator(creator, later)
        assert raised.value.pointer == "/expires_at"
    domain.check_creator(a_key(), None)


def test_a_revoked_key_creates_none() -> None:
    with pytest.raises(errors.ApiKeyInvalid, match="revoked"):
        domain.check_creator(a_key(revoked_at=NOW), None)


def test_an_expiry_lies_in_the_future() -> None:
    domain.check_expiry(None, now=NOW)
    domain.check_expiry(NOW + timedelta(microseconds=1), now=NOW)
    with pytest.raises(errors.ApiKeyExpiryInPast):
        domain.check_expiry(NOW, now=NOW)


def test_every_scope_says_what_it_is_for() -> None:
    assert set(SCOPES) == PERSONAL | KEY_SCOPES
    assert not PERSONAL & KEY_SCOPES
