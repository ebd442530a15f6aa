"""How aliases are read, which look the same, and what is shown of whose they are."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billfold.identity import errors
from billfold.identity.contracts import ALIAS_MAX, Visibility
from billfold.identity.domain import aliases, handles, scripts
from billfold.kernel.errors import BillfoldError
from tests.unit.identity import confusables

#: Anything that JSON can carry, and the halves of surrogate pairs that it can't.
ANYTHING = st.text(st.characters(), max_size=40)
NO_ALIAS = (errors.AliasInvalid, errors.InvalidEmail, errors.InvalidPhone)
LETTERS = st.text(st.sampled_from([*scripts.letters(), *"0123456789_", *"ABCXYZ"]), min_size=1, max_size=32)


def read(text: str) -> aliases.Name | None:
    try:
        return aliases.read(text)
    except NO_ALIAS:
        return None


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("@ada", "handle", "@ada"),
        ("@Ada_99", "handle", "@ada_99"),
        ("＠ａｄａ", "handle", "@ada"),
        (" @ada ", "handle", "@ada"),
        ("@สมชาย", "handle", "@สมชาย"),
        ("@ДМИТРИЙ", "handle", "@дмитрий"),
        ("@田中さん", "handle", "@田中さん"),
        ("ada@example.com", "email", "ada@example.com"),
        ("+66 81 234 5678", "phone", "+66812345678"),
        ("customer:4711", "custom", "customer:4711"),
        ("IBAN:DE89370400440532013000", "custom", "IBAN:DE89370400440532013000"),
    ],
)
def test_an_alias_is_recognised_by_its_form(text: str, kind: str, shown: str) -> None:
    found = aliases.read(text)
    assert (found.kind, found.shown) == (kind, shown)


def test_capital_letters_make_no_other_alias() -> None:
    assert aliases.read("@ADA") == aliases.read("@ada")
    assert aliases.read("IBAN:DE89").canonical == aliases.read("iban:de89").canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@",
        "@ab",
        "@" + "a" * 31,
        "@___",
        "@a-da",
        "@a da",
        "@ada!",
        "@ada\n",
        "@a\u202eda",  # turns what follows around
        "@a\u200bda",  # has no width
        "@a\u00adda",  # shown at the end of a line alone
        "@a\u2066da",
        "@ada\u0301\u0301\u0301",
        "@\u0e31\u0e31\u0e31",
        "@\u0660\u0661\u0662",  # Arabic digits
        "@ɑdɑ_phonetic",
        "@🙂🙂🙂",
        "@ad\0a",
        "@\ud800ada",
        "4711:customer",
        "customer:",
        "customer:4711/../x",
        "customer:süß",
        "straße:4711",
        "+",
        "+12",
        "019aa2c6-7a00-7000-8000-00000000a001",
    ],
)
def test_what_is_no_alias_is_refused(text: str) -> None:
    if text == "@ada\n":
        assert aliases.read(text).shown == "@ada"
        return
    with pytest.raises(NO_ALIAS):
        aliases.read(text)


@pytest.mark.parametrize("text", ["@аda", "@adа", "@paypаl", "@αda", "@adaก", "@ada田"])
def test_a_handle_of_two_scripts_is_refused(text: str) -> None:
    with pytest.raises(errors.HandleMixed):
        aliases.read(text)


@pytest.mark.parametrize("text", ["@сосо", "@асе", "@роре", "@οσο"])
def test_a_handle_whose_every_letter_looks_latin_is_refused(text: str) -> None:
    name = aliases.read(text)
    with pytest.raises(errors.HandleMixed):
        aliases.check_new(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("@bob", "@b0b"),
        ("@paul", "@pau1"),
        ("@modern", "@modem"),
        ("@coco", "@сосо"),
        ("@a_da", "@a__da"),
        ("@adıa", "@adia"),
        ("@œdipus", "@oedipus"),
    ],
)
def test_handles_that_look_the_same_have_one_skeleton(one: str, other: str) -> None:
    assert aliases.read(one).skeleton == aliases.read(other).skeleton


@pytest.mark.parametrize(
    ("one", "other"), [("@ada", "@adam"), ("@jose", "@josé"), ("@mail", "@mall"), ("@ada", "@ида")]
)
def test_handles_that_look_different_have_two(one: str, other: str) -> None:
    assert aliases.read(one).skeleton != aliases.read(other).skeleton


@pytest.mark.parametrize("text", ["@admin", "@Support", "@supp0rt", "@adm1n", "@billfold", "@outside", "@b1llfold"])
def test_a_handle_that_sounds_official_is_reserved(text: str) -> None:
    with pytest.raises(errors.HandleReserved):
        aliases.check_new(aliases.read(text))


@pytest.mark.parametrize("text", ["@ada", "@josé", "@дмитрий", "@สมชาย", "@γιωργος", "@田中さん", "@김민수", "@straße"])
def test_a_name_in_its_own_script_can_be_had(text: str) -> None:
    aliases.check_new(aliases.read(text))


@given(ANYTHING)
@example("@\ud800\udc00")
@example("@ΐ\u0345ab")
@example("a@b:c")
def test_reading_raises_nothing_but_refusals(text: str) -> None:
    try:
        aliases.check_new(aliases.read(text))
    except BillfoldError as error:
        error.detail.encode()


@given(st.one_of(ANYTHING, LETTERS.map("@".__add__)))
def test_what_is_shown_is_read_as_the_same_alias(text: str) -> None:
    name = read(text)
    if name is not None:
        assert aliases.read(name.shown) == name
        assert len(name.shown) <= ALIAS_MAX


@given(LETTERS)
def test_folding_and_skeletons_come_to_rest(text: str) -> None:
    folded = handles.folded(text)
    assert handles.folded(folded) == folded
    skeleton = handles.skeleton(folded)
    assert handles.skeleton(skeleton) == skeleton


@given(LETTERS.map("@".__add__))
def test_no_handle_has_two_scripts_or_an_invisible_character(text: str) -> None:
    name = read(text)
    if name is not None:
        assert name.canonical.replace("_", "a").isprintable()
        assert len({script for letter in name.canonical if (script := scripts.script_of(letter))}) <= 1


@pytest.mark.parametrize(
    ("name", "visibility", "shown"),
    [
        ("Ada Lovelace", "name", "Ada Lovelace"),
        ("Ada Lovelace", "masked", "A••• L•••"),
        ("สมชาย ใจดี", "masked", "ส••• ใ•••"),
        ("  ", "masked", "•••"),
    ],
)
def test_a_masked_name_shows_first_letters_alone(name: str, visibility: Visibility, shown: str) -> None:
    assert aliases.payee(name, visibility) == shown


def test_the_table_of_lookalikes_is_what_unicode_says() -> None:
    assert confusables.FILE.read_text(encoding="utf-8") == confusables.made(), (
        "run: python -m tests.unit.identity.confusables"
    )
