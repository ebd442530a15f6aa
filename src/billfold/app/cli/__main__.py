"""`python -m billfold.app.cli` is `billfold`."""

from billfold.app.cli import main

main()
