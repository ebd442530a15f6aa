"""The form and the claims of access tokens. That only our keys sign them is tested on a real database."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billfold.identity import errors
from billfold.identity.contracts import ACCESS_MAX_S, PUBLISHED_MAX_AGE_S
from billfold.identity.domain import signing, tokens
from billfold.identity.domain.signing import SigningKey
from billfold.kernel import ids

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ISSUER = "https://wallets.example.com"


def unsigned(**changed: Any) -> bytes:
    given: dict[str, Any] = {
        "key_id": "key",
        "issuer": ISSUER,
        "user_id": ids.new(),
        "session_id": ids.new(),
        "scopes": frozenset({"wallets:read", "account"}),
        "roles": frozenset({"user"}),
        "methods": ("pwd", "otp"),
        "authenticated_at": NOW - timedelta(hours=1),
        "token_id": ids.new(),
        "now": NOW,
        "seconds": 600,
    }
    text, _ = tokens.unsigned(**given | changed)
    return text


def token(**changed: Any) -> bytes:
    return tokens.signed(unsigned(**changed), b"\x00" * 64).encode()


def payload(**changed: Any) -> bytes:
    claims = json.loads(tokens.read(token()).payload) | changed
    return json.dumps({name: value for name, value in claims.items() if value is not None}).encode()


def refused(text: bytes) -> str:
    with pytest.raises(errors.TokenInvalid) as caught:
        tokens.read(text)
    return caught.value.detail


def refused_claims(content: bytes, *, now: datetime = NOW) -> str:
    with pytest.raises(errors.TokenInvalid) as caught:
        tokens.claims_of(content, issuer=ISSUER, now=now)
    return caught.value.detail


def part(content: Any) -> bytes:
    return tokens._encoded(content if isinstance(content, bytes) else json.dumps(content).encode())


def test_a_token_says_who_what_how_and_until_when() -> None:
    user_id, session_id = ids.new(), ids.new()
    read = tokens.read(token(user_id=user_id, session_id=session_id))
    assert read.key_id == "key"
    claims = tokens.claims_of(read.payload, issuer=ISSUER, now=NOW)
    assert (claims.sub, claims.sid) == (user_id, session_id)
    assert (claims.scope, claims.roles, claims.amr) == ("account wallets:read", ["user"], ["pwd", "otp"])
    assert tokens.scopes(claims) == {"account", "wallets:read"}
    assert claims.exp - claims.iat == 600
    assert claims.auth_time == (NOW - timedelta(hours=1)).timestamp()
    assert tokens.expires_at(claims) == NOW + timedelta(minutes=10)


def test_a_token_with_every_scope_is_far_from_too_long() -> None:
    scopes, roles = frozenset(f"a-rather-long-scope:{n}" for n in range(40)), frozenset(f"role{n}" for n in range(7))
    assert len(token(scopes=scopes, roles=roles)) < tokens.TOKEN_MAX_BYTES // 2


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "at+jwt", "kid": "key"},
        {"alg": "HS256", "typ": "at+jwt", "kid": "key"},
        {"alg": "ES256", "typ": "at+jwt", "kid": "key"},
        {"alg": "RS256", "typ": "at+jwt", "kid": "key"},
        {"alg": "eddsa", "typ": "at+jwt", "kid": "key"},
        {"alg": ["EdDSA"], "typ": "at+jwt", "kid": "key"},
        {"alg": "EdDSA", "typ": "JWT", "kid": "key"},
        {"alg": "EdDSA", "typ": "at+JWT", "kid": "key"},
        {"alg": "EdDSA", "kid": "key"},
        {"alg": "EdDSA", "typ": "at+jwt"},
        {"alg": "EdDSA", "typ": "at+jwt", "kid": 1},
        {"typ": "at+jwt", "kid": "key"},
        {"alg": "EdDSA", "typ": "at+jwt", "kid": "key", "crit": []},
        {"alg": "EdDSA", "typ": "at+jwt", "kid": "key", "crit": ["b64"], "b64": False},
        {"alg": "EdDSA", "typ": "at+jwt", "kid": "key", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}},
        {"alg": "EdDSA", "typ": "at+jwt", "kid": "key", "jku": "https://evil.example/jwks.json"},
        {"alg": "EdDSA", "typ": "at+jwt", "kid": "key", "zip": "DEF"},
        {"alg": "EdDSA", "typ": "at+jwt", "kid": "key", "x5c": []},
        [],
        None,
        "EdDSA",
        b"",
        b"\xff\xfe",
        b'{"alg":"EdDSA","typ":"at+jwt","kid":"\xff"}',
        b'{"alg":"EdDSA","typ":"at+jwt","kid":"key"} x',
        b"{" * 3000,
    ],
)
def test_no_other_header_is_taken(header: Any) -> None:
    assert "access token" in refused(b".".join((part(header), part(payload()), part(b"\0" * 64))))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b".",
        b"..",
        b"...",
        b"a.b",
        b"a.b.c.d",
        b"eyJ.eyJ.",
        b"bf_test_0123",
        b"\x00.\x00.\x00",
        "é.é.é".encode(),
        b"a.a.a",
        b"AA==.AA==.AA==",
        b"AA .AA.AA",
        b"A" * 4097,
        b"A" * 2000 + b"." + b"A" * 2000 + b"." + b"A" * 2000,
    ],
)
def test_what_is_no_token_is_said_to_be_none(text: bytes) -> None:
    assert "no access token" in refused(text)


def test_a_token_has_one_text_only() -> None:
    """The last character of a signature has four bits of nothing; whoever sets them has made another text of it."""
    text = tokens.signed(unsigned(), b"\xff" * 64).encode()
    assert text.endswith(b"w")
    assert refused(text[:-1] + b"x") == "This is no access token."
    assert refused(text + b"=") == "This is no access token."


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"iss": "https://other.example.com"}, "another service"),
        ({"iss": ISSUER + "/"}, "another service"),
        ({"aud": "elsewhere"}, "another service"),
        ({"aud": ["billfold"]}, "not as they should be"),
        ({"aud": None}, "not as they should be"),
        ({"iss": None}, "not as they should be"),
        ({"exp": None}, "not as they should be"),
        ({"exp": "9999999999"}, "not as they should be"),
        ({"exp": 1e12}, "not as they should be"),
        ({"exp": 10**30}, "not as they should be"),
        ({"exp": -1}, "not as they should be"),
        ({"sub": "ada"}, "not as they should be"),
        ({"sid": None}, "not as they should be"),
        ({"scope": ["operator"]}, "not as they should be"),
        ({"roles": "admin"}, "not as they should be"),
        ({"iat": int(NOW.timestamp()) + 60}, "from the future"),
        ({"auth_time": int(NOW.timestamp()) + 60}, "from the future"),
        ({"exp": int(NOW.timestamp()) - 5}, "has expired"),
    ],
)
def test_no_claims_are_taken_but_ours_for_now(changed: dict[str, Any], said: str) -> None:
    assert said in refused_claims(payload(**changed))


def test_clocks_may_be_five_seconds_apart_and_no_more() -> None:
    read = tokens.read(token()).payload
    for seconds in (-5, 0, 600, 604):
        tokens.claims_of(read, issuer=ISSUER, now=NOW + timedelta(seconds=seconds))
    assert "from the future" in refused_claims(read, now=NOW - timedelta(seconds=6))
    assert "has expired" in refused_claims(read, now=NOW + timedelta(seconds=605))


def test_a_claim_that_a_later_version_adds_is_no_obstacle() -> None:
    tokens.claims_of(payload(acr="2"), issuer=ISSUER, now=NOW)


anything = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(str.encode),
    st.lists(st.binary(max_size=200), max_size=4).map(lambda parts: b".".join(map(tokens._encoded, parts))),
    st.tuples(st.integers(0, 500), st.binary(min_size=1, max_size=3)).map(
        lambda at: token()[: at[0]] + at[1] + token()[at[0] + len(at[1]) :]
    ),
    st.dictionaries(
        st.sampled_from(["alg", "typ", "kid", "crit"]), st.sampled_from(["EdDSA", "at+jwt", "x", 1, []])
    ).map(lambda header: b".".join((part(header), part(payload()), part(b"\0" * 64)))),
)


@settings(max_examples=250)
@given(anything)
def test_whatever_is_sent_it_is_read_or_no_token(text: bytes) -> None:
    try:
        tokens.read(text)
    except errors.TokenInvalid:
        return


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CLAIMS = ["iss", "aud", "sub", "sid", "scope", "roles", "amr", "auth_time", "iat", "exp", "jti", "client_id", "nbf"]


@settings(max_examples=150)
@given(
    st.one_of(
        st.binary(max_size=200),
        json_values.map(lambda value: json.dumps(value).encode()),
        st.dictionaries(st.sampled_from(CLAIMS), json_values, max_size=4).map(lambda changed: payload(**changed)),
    )
)
def test_whatever_a_signed_token_claims_it_is_taken_or_refused(content: bytes) -> None:
    try:
        tokens.claims_of(content, issuer=ISSUER, now=NOW)
    except errors.TokenInvalid:
        return


def a_key(key_id: str, signs_from: int, retired_at: int | None = None) -> SigningKey:
    return SigningKey(
        id=key_id,
        sealed=b"",
        created_at=NOW,
        signs_from=NOW + timedelta(seconds=signs_from),
        retired_at=None if retired_at is None else NOW + timedelta(seconds=retired_at),
    )


@pytest.mark.parametrize(
    ("keys", "signs"),
    [
        ([], None),
        ([a_key("old", -100)], "old"),
        ([a_key("old", -100), a_key("new", 0)], "new"),
        ([a_key("old", -100), a_key("new", 1)], "old"),
        ([a_key("old", -100, 0), a_key("new", 1)], "new"),
        ([a_key("old", -100, 1), a_key("new", 1)], "old"),
        ([a_key("old", -100, 0)], None),
        ([a_key("first", 5), a_key("second", 9)], "first"),
    ],
)
def test_the_latest_key_signs_whose_time_has_come(keys: list[SigningKey], signs: str | None) -> None:
    found = signing.signer(keys, NOW)
    assert (found.id if found else None) == signs


def test_a_new_key_is_known_to_every_cache_before_it_signs_and_an_old_one_outlives_its_tokens() -> None:
    assert timedelta(seconds=PUBLISHED_MAX_AGE_S) + signing.READ_EVERY <= signing.OVERLAP
    assert timedelta(seconds=ACCESS_MAX_S + tokens.LEEWAY_S) <= signing.ACCEPTED_AFTER
