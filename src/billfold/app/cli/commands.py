"""The commands of `billfold`, and a Typer group that imports the module of a command only when it is called.

A new command is a line of COMMANDS. Its attribute is a function (one command) or a `typer.Typer` (a group of them).
"""

from __future__ import annotations

import difflib
import importlib
import re
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

#: What is wrong with a command line; of its kinds Typer makes public this one alone.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]
#: What Typer's parser puts before its own sentence about a wrong choice.
_OF_THE_PARSER = "Value error, "
_NEGATIVE = re.compile(r"-[\d.,]")


class Command(NamedTuple):
    """Where a command is defined, below `billfold.app.cli`, and what the help says of it."""

    module: str
    attribute: str
    help: str


COMMANDS = {
    "up": Command("up", "up", "Start PostgreSQL, NATS and all roles, and keep them running."),
    "down": Command("up", "down", "Stop the running stack."),
    "status": Command("up", "status", "Show the running stack."),
    "doctor": Command("doctor", "doctor", "Look for what usually goes wrong, and say what to do."),
    "reset": Command("up", "reset", "Delete the data folder of a stopped stack."),
    "serve": Command("serve", "serve", "Run one role against servers of your own."),
    "config": Command("config", "config", "Show every setting and where it comes from."),
    "migrate": Command("migrate", "migrate", "Bring a database up to date."),
    "tour": Command("tour", "tour", "Play the first five minutes, and show each call and its answer."),
    "register": Command("login", "register", "Make an account for yourself."),
    "verify": Command("login", "verify", "Type the code that came after `billfold register`."),
    "login": Command("login", "login", "Log in, so that commands are yours."),
    "logout": Command("login", "logout", "Log out, here or everywhere."),
    "whoami": Command("login", "whoami", "Show in whose name commands speak, and why."),
    "sessions": Command("sessions", "app", "List your logins, and end some."),
    "users": Command("users", "app", "Show and change yourself; for staff, look after people and their roles."),
    "approvals": Command("approvals", "app", "See what waits for a second person; approve or reject it."),
    "keys": Command("keys", "app", "Create, list and revoke API keys; make and replace Billfold's own."),
    "assets": Command("assets", "app", "List the assets there are, and add more."),
    "wallets": Command("wallets", "app", "Create, show and change wallets; deposit and withdraw."),
    "aliases": Command("aliases", "app", "Take names by which money finds you, and ask who has one."),
    "transfers": Command("transfers", "app", "Move money between wallets, and list what has happened."),
    "requests": Command(
        "requests", "app", "See what has become of money that is to move later; wait for it, or cancel."
    ),
    "payment-requests": Command("payment_requests", "app", "Ask somebody for money, and pay what you are asked for."),
    "holds": Command("holds", "app", "Set money aside, and settle or release it."),
    "addresses": Command("addresses", "app", "Show where money for a wallet goes on chains."),
    "deposits": Command("deposits", "app", "See what has arrived on chains, and why something has not."),
    "chains": Command("chains", "app", "See how far each chain is read."),
    "custody": Command(
        "custody", "app", "Prove that the chains hold what the ledger owes, and that a backup has the keys of it."
    ),
    "verify-reserves": Command("verify_reserves", "verify_reserves", "Check a proof of reserves, without a server."),
    "withdrawals": Command("withdrawals", "app", "Send money to addresses on chains, and see how far it is."),
    "unsigned": Command("unsigned", "app", "Hand out what keys elsewhere are to sign, and hand it in signed."),
    "balance": Command("balance", "balance", "Show what is in a wallet, now or in the past."),
    "statement": Command("statement", "statement", "Write all transactions of a wallet to a file."),
    "import": Command("importing", "app", "Import transactions from a file."),
    "dead-letters": Command(
        "dead_letters", "app", "Look at messages that could not be applied; retry or discard them."
    ),
    "refused-events": Command(
        "refused_events", "app", "Look at events that a part of Billfold could not apply; retry or discard them."
    ),
    "events": Command("feed", "app", "Watch what happens, and see what has happened."),
    "mail": Command("mail", "app", "Read the mails that a stack without a mail server has kept."),
    "ledger": Command("ledger", "app", "Check the books."),
    "audit": Command("audit", "app", "See what was done by whom, and prove that its record is whole."),
    "chain": Command("chain", "app", "Play with the chains of the sandbox: mine, send play money, replace blocks."),
    "signer": Command(
        "signer", "app", "At the signer's own machine: say what may leave, see what was signed, back up seeds."
    ),
    "dev": Command("dev_servers", "app", "Run servers to develop against."),
    "projections": Command("projections", "app", "Make anew what is kept outside of the database, or compare it."),
}


def group(name: str) -> typer.Typer:
    """The empty group of that name. Completion is set up once, at the top."""
    return typer.Typer(help=COMMANDS[name].help, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


class LazyGroup(TyperGroup):
    """The top of the command line."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - given by Typer.
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - given by Typer.
        """The command, imported now; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = COMMANDS[cmd_name]
        found = getattr(importlib.import_module(f"billfold.app.cli.{command.module}"), command.attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False, rich_markup_mode=None)
            found.command(cmd_name)(function)
        loaded = typer.main.get_command(found)
        loaded.name = cmd_name
        return loaded

    def invoke(self, ctx: Any) -> Any:
        """Run the command. What is wrong with its line is said in words of ours.

        An amount with a minus, which reads as an option, is answered as what was meant.
        """
        try:
            return super().invoke(ctx)
        except _UsageError as error:
            if _NEGATIVE.match(getattr(error, "option_name", "")):
                error.ctx.fail("An amount is positive; which way the money goes is said by the command.")
            error.message = error.message.removeprefix(_OF_THE_PARSER)
            raise

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of these arguments. A misspelt one is answered with the nearest."""
        nearest = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and not args[0].startswith("-") and nearest:
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{nearest[0]}'?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - given by Typer.
        """The list in the help, from the table alone, so that the help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in COMMANDS.items()])
