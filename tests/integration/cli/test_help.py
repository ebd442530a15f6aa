"""The help is there at once: it imports no command, and nothing that takes long."""

import subprocess
import sys

from typer.testing import CliRunner

from billfold.app.cli import app, exits
from billfold.app.cli.commands import COMMANDS

#: What commands need. Each takes longer to import than all of the help.
SLOW = {"asyncpg", "httpx2", "litestar", "msgspec", "nats", "prometheus_client", "rich", "structlog", "uvicorn"}
_SHOW = """
import sys
from billfold.app import cli
sys.argv = ["billfold", "--help"]
try:
    cli.main()
finally:
    print(*sys.modules, sep="\\n", file=sys.stderr)
"""


def test_the_help_names_every_command_and_exit_code_and_imports_none() -> None:
    found = subprocess.run([sys.executable, "-c", _SHOW], capture_output=True, text=True, check=True)
    for name, command in COMMANDS.items():
        assert f"  {name} " in found.stdout
        assert command.help in " ".join(found.stdout.split())
    for code, meaning in exits.MEANINGS.items():
        assert f"{code} {meaning}" in " ".join(found.stdout.split())
    imported = set(found.stderr.split())
    assert imported & SLOW == set()
    assert not {f"billfold.app.cli.{command.module}" for command in COMMANDS.values()} & imported


def test_completion_is_offered_at_the_top_alone() -> None:
    runner = CliRunner()
    assert "--install-completion" in runner.invoke(app, ["--help"]).stdout
    for name in COMMANDS:
        found = runner.invoke(app, [name, "--help"])
        assert found.exit_code == 0
        assert "--help" in found.stdout
        assert "completion" not in found.stdout, name


def test_the_shell_completes_commands_and_their_own() -> None:
    for words, expected in (("billfold wal", "wallets"), ("billfold wallets dep", "deposit")):
        environment = {
            "_BILLFOLD_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        command = [sys.executable, "-c", "from billfold.app.cli import main; main()"]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert found.stdout.split() == [expected], found
