"""gRPC is an extra: who does not ask for it does without."""

import subprocess
import sys

WITHOUT = "import sys; sys.modules['grpc'] = None\n"


def said_by(code: str) -> str:
    """What a Python of its own says to it."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


def test_roles_that_post_by_themselves_do_without_it() -> None:
    for role in ("api", "worker"):
        assert said_by(f"{WITHOUT}import billfold.app.roles.{role}; print('well')") == "well\n"


def test_the_role_says_what_is_to_be_installed() -> None:
    code = f"{WITHOUT}from billfold.app import doors, settings; doors.door('ledger', settings.Ledger())"
    assert "ExtraNotInstalled: The settings ask for what is not installed: pip install 'billfold[grpc]'." in said_by(
        code
    )
