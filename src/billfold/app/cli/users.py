"""`billfold users`: people and their roles."""

from billfold.app.cli import commands, granting

app = commands.group("users")
# A group of one command would be that command itself.
app.callback()(lambda: None)
app.command("grant-role")(granting.grant_role)
