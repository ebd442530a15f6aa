"""The reference of the command line says what the commands say of themselves."""

from tests.docs import cli_reference


def test_the_reference_of_the_commands_is_up_to_date() -> None:
    assert cli_reference.PAGE.read_text(encoding="utf-8") == cli_reference.page(), (
        "docs/reference/cli.md differs from the commands: run `python -m tests.docs.cli_reference`"
    )


def test_every_command_that_shows_something_can_show_it_as_json() -> None:
    silent = {
        path
        for path, command in cli_reference.commands()
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert silent <= {"billfold serve", "billfold reset"}


def test_every_command_and_option_says_what_it_is_for() -> None:
    for path, command in cli_reference.commands():
        assert command.help, path
        for parameter in command.params:
            assert parameter.help, f"{path} {parameter.opts}"
