"""Registering: a code by mail, typed at once or later."""

from __future__ import annotations

import re

from tests.acceptance.cli.people.machines import PASSWORD, Person, code_for
from tests.acceptance.cli.test_terminal import CTRL_C, Terminal, at_a_terminal
from tests.smtp import SmtpServer


def test_whoever_registers_and_types_the_code_is_logged_in(stranger: Person, smtp_server: SmtpServer) -> None:
    billfold = stranger.billfold
    said = billfold("register", stranger.email, "--name", stranger.name, "--password-stdin", stdin=PASSWORD + "\n").out
    registration = said.split()[-2]
    assert "billfold verify" in said
    assert "You are logged in at" in billfold("verify", registration, code_for(smtp_server, stranger.email)).out
    me = billfold.json("whoami")
    assert me["user"]["email"] == stranger.email
    assert me["credentials"] == "login"
    assert stranger.name in billfold("whoami").out
    wallet = billfold.json("wallets", "create", "Mine")
    assert wallet["owner_id"] == me["user"]["id"]


def test_a_wrong_code_makes_nobody(stranger: Person) -> None:
    asked = stranger.billfold.json(
        "register", stranger.email, "--name", stranger.name, "--password-stdin", stdin=PASSWORD
    )
    assert "code is wrong" in stranger.billfold("verify", asked["id"], "00000000", code=1).err
    assert stranger.files == []


def test_a_password_that_is_guessed_first_is_refused(stranger: Person) -> None:
    said = stranger.billfold(
        "register", stranger.email, "--name", "X", "--password-stdin", stdin="password1234", code=1
    )
    assert "guessed first" in said.err


def test_two_passwords_that_differ_register_nobody(stranger: Person, people_stack: dict[str, str]) -> None:
    environment = {"PATH": people_stack["PATH"]} | stranger.environment
    with at_a_terminal(environment, "register", stranger.email, "--name", "X") as terminal:
        terminal.until("Password: ")
        terminal.types(PASSWORD.encode() + b"\r")
        terminal.until("Password again: ")
        terminal.types(b"something else\r")
        terminal.until("are not the same")
        assert terminal.process.wait(60) == 1


def test_a_password_that_is_too_short_is_asked_for_again_before_it_is_typed_twice(
    stranger: Person, people_stack: dict[str, str]
) -> None:
    environment = {"PATH": people_stack["PATH"]} | stranger.environment
    with at_a_terminal(environment, "register", stranger.email, "--name", "X") as terminal:
        terminal.until("Password: ")
        terminal.types(b"short\r")
        terminal.until("at least 12 characters")
        terminal.until("Password: ", times=2)
        assert "again" not in terminal.shown
        terminal.types(PASSWORD.encode() + b"\r")
        terminal.until("Password again: ")
        terminal.types(PASSWORD.encode() + b"\r")
        terminal.until("The code: ")


def at_the_code(terminal: Terminal) -> None:
    """Type the password of a registration twice, and be asked for the code."""
    for prompt in ("Password: ", "Password again: "):
        terminal.until(prompt)
        terminal.types(PASSWORD.encode() + b"\r")
    terminal.until("The code: ")


def test_a_mistyped_code_of_a_registration_may_be_typed_again(
    stranger: Person, people_stack: dict[str, str], smtp_server: SmtpServer
) -> None:
    environment = {"PATH": people_stack["PATH"]} | stranger.environment
    with at_a_terminal(environment, "register", stranger.email, "--name", "Ada") as terminal:
        at_the_code(terminal)
        for times, wrong in ((2, b"00000000\r"), (3, b"123\r")):
            terminal.types(wrong)
            terminal.until("The code: ", times=times)
        terminal.types(code_for(smtp_server, stranger.email).encode() + b"\r")
        terminal.until("You are logged in at")
        assert terminal.process.wait(60) == 0


def test_whoever_leaves_before_the_code_is_told_how_to_go_on(
    stranger: Person, people_stack: dict[str, str], smtp_server: SmtpServer
) -> None:
    environment = {"PATH": people_stack["PATH"]} | stranger.environment
    with at_a_terminal(environment, "register", stranger.email, "--name", "Ada") as terminal:
        at_the_code(terminal)
        terminal.types(CTRL_C)
        terminal.until("sends another one.")
        assert terminal.process.wait(60) != 0
    (registration,) = re.findall(r"billfold verify (\S+) CODE", terminal.shown)
    stranger.billfold("verify", registration, code_for(smtp_server, stranger.email))


def test_whoever_registers_at_a_terminal_types_the_code_there(
    stranger: Person, people_stack: dict[str, str], smtp_server: SmtpServer
) -> None:
    environment = {"PATH": people_stack["PATH"]} | stranger.environment
    with at_a_terminal(environment, "register") as terminal:
        terminal.until("E-mail address or phone number")
        terminal.types(stranger.email.encode() + b"\r")
        terminal.until("Your name")
        terminal.types(b"Ada\r")
        for prompt in ("Password: ", "Password again: "):
            terminal.until(prompt)
            terminal.types(PASSWORD.encode() + b"\r")
        terminal.until("The code")
        terminal.types(code_for(smtp_server, stranger.email).encode() + b"\r")
        terminal.until("You are logged in at")
        assert terminal.process.wait(60) == 0
    assert stranger.billfold.json("whoami")["user"]["display_name"] == "Ada"
