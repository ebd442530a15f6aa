"""Somebody at a machine of their own, who reads their mail."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.commands import Billfold
from tests.smtp import SmtpServer

PASSWORD = "correct horse battery staple"


@dataclass
class Person:
    """Somebody at a machine of their own."""

    billfold: Billfold
    environment: dict[str, str]
    email: str
    name: str
    id: str = ""
    recovery_codes: list[str] | None = None

    @property
    def files(self) -> list[Path]:
        """What the machine keeps of logins."""
        return sorted(Path(self.environment["XDG_STATE_HOME"]).rglob("*.json"))

    def elsewhere(self, folder: Path) -> Billfold:
        """The same person at another machine, where they are not logged in."""
        return Billfold(self.environment | {"XDG_STATE_HOME": str(folder)})

    def elsewise(self) -> httpx2.Client:
        """The API in their name, by other means than the program."""
        (file,) = self.files
        token = json.loads(file.read_text())["login"]["access_token"]
        return httpx2.Client(
            base_url=self.environment["BILLFOLD_URL"] + "/api/v1", headers={"authorization": f"Bearer {token}"}
        )

    def code(self) -> str:
        """A recovery code, each good for once."""
        assert self.recovery_codes is not None
        return self.recovery_codes.pop()


def code_for(server: SmtpServer, email: str) -> str:
    """The code in the mail to this address, which is waited for."""

    def mails() -> list[str]:
        return [mail.text() for mail in server.received if email in mail.recipients]

    server.wait_until(lambda: bool(mails()), f"a mail to {email}")
    found = re.search(r"\b[0-9]{8}\b", mails()[-1])
    assert found is not None, mails()
    return found[0]
