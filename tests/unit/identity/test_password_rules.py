import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billfold.identity import errors
from billfold.identity.contracts import PASSWORD_MIN
from billfold.identity.domain import passwords
from billfold.identity.service.passwords import _common

PERSONAL = ("ada.lovelace@example.com", "+66812345678", "Ada Augusta Lovelace")


def checked(password: str) -> str:
    return passwords.check(password, common=_common(), personal=PERSONAL)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "ตลาดน้ำดำเนินสะดวก",
        "Tr0ub4dor&3 plus some",
        "elephant8302917465",
        " trailing blanks count ",
        "m8#kV!q2Zr@e",
        "ada likes looms and engines",
    ],
)
def test_a_good_password_is_taken_as_it_is(password: str) -> None:
    assert checked(password) == unicodedata.normalize("NFKC", password)


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "Password123!!",
        "P@ssw0rd2026!",
        "passwordpassword",
        "123456789012",
        "qwertyuiop123",
        "aaaaaaaaaaaaaaaa",
        "abababababab",
        "abcdefghijkl",
        "987654321098",
        "iloveyou2026!",
        "1234567890qwerty",
        "Billfold2026!",
        "B1llf0ldWallet",
        "B1llf0ldWallet!",
        "5unsh1ne!!!!",
        "\uff30\uff41\uff53\uff53\uff57\uff4f\uff52\uff441234",
    ],
)
def test_what_is_guessed_first_is_refused(password: str) -> None:
    with pytest.raises(errors.PasswordTooCommon):
        checked(password)


@pytest.mark.parametrize(
    "password",
    [
        "ada.lovelace@example.com",
        "ADA.LOVELACE@EXAMPLE.COM",
        "+66812345678",
        "Ada Augusta Lovelace",
        "adaaugustalovelace",
        "Ada.Lovelace1815!",
    ],
)
def test_ones_own_address_number_or_name_is_refused(password: str) -> None:
    with pytest.raises(errors.PasswordPersonal):
        checked(password)


def test_characters_are_counted_as_they_are_hashed() -> None:
    # Eleven letters with an accent, each sent as two code points.
    with pytest.raises(errors.PasswordTooShort):
        checked("e\u0301" * 2 + "xyzuvwabc")
    assert checked("m8#kV!q2Zr@e\u0301") == "m8#kV!q2Zr@é"
    # One character that stands for eighteen.
    with pytest.raises(errors.PasswordTooLong):
        checked("\ufdfa" * 8)
    assert checked("m8#kV!q2" * 16)
    with pytest.raises(errors.PasswordTooLong):
        checked("m8#kV!q2" * 16 + "x")


def test_an_oversized_password_is_refused_by_its_length_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "unicodedata", None)
    for check in (checked, passwords.normalised):
        with pytest.raises(errors.PasswordTooLong):
            check("x" * (passwords.RAW_MAX + 1))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_two_ways_to_send_the_same_characters_are_one_password(text: str) -> None:
    assume(len(text) <= passwords.LENGTH_MAX)
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    found = set()
    for form in forms:
        try:
            found.add(passwords.normalised(form))
        except errors.PasswordTooLong:
            found.add("too long")
    assert len(found) == 1


@given(st.text(max_size=2000))
def test_any_text_is_taken_or_refused_and_what_is_taken_stays_so(text: str) -> None:
    try:
        taken = checked(text)
    except (
        errors.PasswordTooShort,
        errors.PasswordTooLong,
        errors.PasswordTooCommon,
        errors.PasswordPersonal,
    ):
        return
    assert PASSWORD_MIN <= len(taken) <= passwords.LENGTH_MAX
    assert checked(taken) == taken


def test_thousands_of_common_passwords_are_known() -> None:
    assert len(_common()) > 30_000
    assert sum(len(word) >= PASSWORD_MIN for word in _common()) > 290
