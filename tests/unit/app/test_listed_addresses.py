"""Of a list of addresses that is refused it is said which line is wrong."""

from billfold.app.cli import chains
from billfold.app.client import ApiRefusal


def refusal(pointer: str) -> ApiRefusal:
    error = ApiRefusal("It is no address.")
    error.document = {"errors": [{"detail": "It is no address.", "pointer": pointer}]}
    return error


def test_the_line_is_that_of_the_file_with_its_empty_lines() -> None:
    assert chains._at_line(refusal("/addresses/1"), [1, 4, 5]) == "Line 4: It is no address."


def test_what_is_wrong_with_no_address_names_no_line() -> None:
    for pointer in ("/purpose", "/addresses", "/addresses/3"):
        assert chains._at_line(refusal(pointer), [1, 4, 5]) == "It is no address."
