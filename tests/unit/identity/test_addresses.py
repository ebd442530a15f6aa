import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billfold.identity import errors
from billfold.identity.domain import addresses
from billfold.identity.domain.addresses import Login

#: What would begin another header, line, recipient or address in a mail.
FORGING = ["\n", "\r", "\r\n", "\0", "\t", " ", ",", ";", "<", ">", '"', "(", ")", "[", "]", "\\", ":", "\x7f", "\x85"]
INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u202e", "\u2066", "\u2028", "\u2029", "\u00ad"]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("ada@example.com", "ada@example.com"),
        (" Ada.Lovelace+Looms@Example.COM ", "ada.lovelace+looms@example.com"),
        ("ada@Bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("อดา@example.com", "อดา@example.com"),
        ("\uff41da@\uff45xample.com", "ada@example.com"),
        ("Straße@example.com", "strasse@example.com"),
        ("o'neil_1=x@mail.example.co.th", "o'neil_1=x@mail.example.co.th"),
    ],
)
def test_an_email_address_has_one_form(typed: str, kept: str) -> None:
    assert addresses.email(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@localhost",
        "ada@example.com.",
        "ada@.example.com",
        "ada@exa..mple.com",
        "ada@-example.com",
        "ada@127.0.0.1",
        "ada@[127.0.0.1]",
        "ada@my_host.example",
        ".ada@example.com",
        "ada.@example.com",
        "a..da@example.com",
        "ada@bob@example.com",
        '"ada"@example.com',
        "Ada <ada@example.com>",
        "ada@example.com,bob@example.com",
        "a" * 65 + "@example.com",
        "อ" * 22 + "@example.com",
        "ada@" + "a" * 64 + ".com",
        "ada@" + ".".join(["a" * 60] * 5) + ".com",
        "x" * 100_000,
    ],
)
def test_what_is_no_mailbox_is_refused(typed: str) -> None:
    with pytest.raises(errors.InvalidEmail):
        addresses.email(typed)


@pytest.mark.parametrize("character", FORGING + INVISIBLE)
def test_no_address_forges_a_header_or_hides_a_character(character: str) -> None:
    for typed in (f"ada{character}bcc@example.com", f"ada@exam{character}ple.com", f"ada@example.com{character}x"):
        try:
            kept = addresses.email(typed)
        except errors.InvalidEmail:
            continue
        # Of a domain IDNA drops some of what can't be seen.
        assert character not in kept
        assert kept.isprintable()


def test_a_forged_header_is_no_address() -> None:
    with pytest.raises(errors.InvalidEmail):
        addresses.email("ada@example.com\r\nBcc: eve@example.com")


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_taken_for_an_address_is_one_mailbox_in_one_form(local: str, domain: str) -> None:
    try:
        kept = addresses.email(f"{local}@{domain}")
    except errors.InvalidEmail:
        return
    assert addresses.email(kept) == kept
    assert len(kept.encode()) <= addresses.EMAIL_MAX
    assert kept.count("@") == 1
    assert kept.isprintable()
    assert not any(character in kept for character in ' ,;<>()[]\\":')
    assert kept.rpartition("@")[2].isascii()


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=10))
def test_case_and_normal_form_make_no_second_mailbox(name: str) -> None:
    def read(text: str) -> str | None:
        try:
            return addresses.email(f"{text}@example.com")
        except errors.InvalidEmail:
            return None

    kept = read(name)
    assume(kept is not None)
    assert {read(unicodedata.normalize(form, name)) for form in ("NFC", "NFD", "NFKC", "NFKD")} == {kept}
    assert read(name.casefold()) == kept


@pytest.mark.parametrize(
    ("typed", "region", "kept"),
    [
        ("+66 81 234 5678", None, "+66812345678"),
        ("081-234-5678", "TH", "+66812345678"),
        ("+66 (0) 81 234 5678", None, "+66812345678"),
        ("tel:+66-81-234-5678", None, "+66812345678"),
        ("\uff0b66812345678", None, "+66812345678"),
        ("+๖๖๘๑๒๓๔๕๖๗๘", None, "+66812345678"),
        ("+1 650 253 0000", "TH", "+16502530000"),
    ],
)
def test_a_phone_number_has_one_form(typed: str, region: str | None, kept: str) -> None:
    assert addresses.phone(typed, region=region) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "081-234-5678",
        "+66",
        "+999 123",
        "+1 650 253 0000 ext. 12",
        "ada",
        "1" * 41,
        "+1" * 50_000,
        "+66812345678\r\nx",
    ],
)
def test_what_is_no_phone_number_is_refused(typed: str) -> None:
    with pytest.raises(errors.InvalidPhone):
        addresses.phone(typed)


@given(st.text(max_size=60))
def test_any_text_is_a_phone_number_in_e164_or_none(text: str) -> None:
    try:
        kept = addresses.phone(text, region="TH")
    except errors.InvalidPhone:
        return
    assert kept.isascii()
    assert kept[0] == "+"
    assert kept[1:].isdigit()
    assert addresses.phone(kept) == kept


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Ada@Example.com", Login("email", "ada@example.com")),
        ("+66 81 234 5678", Login("phone", "+66812345678")),
        (" @Ada ", Login("handle", "@ada")),
        ("nobody", Login(None, "nobody")),
        ("", Login(None, "")),
        ("a@b@c", Login(None, "a@b@c")),
    ],
)
def test_a_login_is_an_address_a_number_or_a_handle(typed: str, meant: Login) -> None:
    assert addresses.login(typed) == meant


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("ada.lovelace@example.com", "a***@e***.com"),
        ("+66812345678", "+66***78"),
        ("", "***"),
    ],
)
def test_an_address_is_told_masked(address: str, shown: str) -> None:
    assert addresses.masked(address) == shown
