"""Logins of the person at this machine: where their tokens are kept, and how they stay good.

store     one login for each address of an API, in the keyring of the system or in a private file
session   the tokens of a login, renewed before they end, by one process at a time
"""

from billfold.app.logins.session import LoginEnded, Session
from billfold.app.logins.store import KeyringClosed, Login, Store, StoreBusy

__all__ = ["KeyringClosed", "Login", "LoginEnded", "Session", "Store", "StoreBusy"]
