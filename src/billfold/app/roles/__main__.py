"""`python -m billfold.app.roles NAME`: what the supervisor runs.

As `billfold serve NAME`, with the settings of the environment alone: the command line takes longer to load than a role
takes to start.
"""

from __future__ import annotations

import importlib
import sys

from billfold.app import settings
from billfold.kernel import errors

#: structlog imports Rich where it is installed, for traces in colours that no role writes (see `telemetry.logs`): a
#: quarter of what a start imports.
sys.modules["rich"] = None  # type: ignore[assignment]


def main() -> None:
    """Run the role until SIGTERM or Ctrl-C."""
    module = sys.argv[1].replace("-", "_")
    try:
        importlib.import_module(f"billfold.app.roles.{module}").run(settings.load().settings)
    except errors.BillfoldError as error:
        sys.exit(f"billfold: {error.detail}")


if __name__ == "__main__":
    main()
