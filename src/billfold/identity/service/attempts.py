"""How often somebody may try what can be guessed: passwords, and whom to send mail to.

Three counts, of which each stops another attacker:

- of an account, by whichever of its logins, from wherever anybody fails: growing waits, so that guessing a password
  gets a hundred tries in a day;
- of an account from one place that its user has logged in from: the same, by itself, so that the right password is
  taken there whatever others do elsewhere;
- of an address, whatever accounts it tries: so that one password is not tried on everybody.

An account that does not exist is counted like one that does: whoever fails is answered by the first count and the last,
known there or not. What is kept is a hash of whom it is about.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal
from uuid import UUID

from billfold.identity import errors
from billfold.platform.limiting.backoff import Backoff
from billfold.platform.limiting.exceeded import Window
from billfold.platform.limiting.limiter import Limiter, Shared

Purpose = Literal["login", "password"]
#: Attempts of one address within a minute, an hour and a day.
ADDRESS_WINDOWS = ((1, 60), (10, 3_600), (50, 86_400))
#: Mails of one kind that one stranger can cause to one address. The window is as long as a token is good for, so
#: whoever has asked so often has one that can be used.
MAILS_MAX = 5
MAILS_WITHIN_S = 30 * 60
#: Codes that all strangers together can cause to one address. So many more than one of them can that its owner is not
#: kept out by one, and so few that nobody's mailbox is filled.
CODES_MAX = 4 * MAILS_MAX
CODES_MAX_DAY = 5 * CODES_MAX


class Attempts:
    """Counts attempts, in this process or together with others."""

    def __init__(self, *, per_minute: int = 60, shared: Shared | None = None) -> None:
        """`per_minute` is for an address, and 0 is no limit there."""
        purposes: tuple[Purpose, ...] = ("login", "password")
        self._backoffs = {purpose: Backoff(f"attempts-{purpose}", shared=shared) for purpose in purposes}
        windows = [Window(per_minute * times, seconds) for times, seconds in ADDRESS_WINDOWS]
        self._addresses = Limiter("logins", windows, shared=shared) if per_minute else None
        within = [Window(MAILS_MAX, MAILS_WITHIN_S)]
        self._resets = Limiter("mails-reset", within, shared=shared)
        self._codes_asked = Limiter("mails-code-asked", within, shared=shared)
        of_all = [Window(CODES_MAX, MAILS_WITHIN_S), Window(CODES_MAX_DAY, 86_400)]
        self._codes = Limiter("mails-code", of_all, shared=shared)

    async def come(self, address: str) -> None:
        """Count what comes from an address.

        Raises:
            TooManyAttempts: it has to wait.
        """
        wait_s = await self._come(address)
        if wait_s:
            raise errors.TooManyAttempts(wait_s)

    async def begin(self, purpose: Purpose, about: str) -> None:
        """Count an attempt before it is known how it ends.

        Raises:
            TooManyAttempts: it has to wait.
        """
        wait_s = await self._backoffs[purpose].attempt(_who(about, None))
        if wait_s:
            raise errors.TooManyAttempts(wait_s)

    async def stranger(self, about: str, *, address: str) -> int:
        """Count a login from where nobody is known, or one that has failed; the seconds to wait, 0 to go on."""
        return await self._come(address) or await self._backoffs["login"].attempt(_who(about, None))

    async def known(self, about: str, *, address: str) -> int:
        """Count a login from where its user has been, before it is known how it ends; the seconds to wait, 0 to go on.

        One that fails is then counted as a stranger's too.
        """
        wait_s = await self._backoffs["login"].attempt(_who(about, address))
        # What the address has to wait for is said first, as to strangers.
        return wait_s and (await self._come(address) or wait_s)

    async def ended_well(self, purpose: Purpose, about: str, *, known_at: str | None = None) -> None:
        """Forget the attempts of whoever has succeeded."""
        await self._backoffs[purpose].forgive(_who(about, known_at))

    async def _come(self, address: str) -> int:
        exceeded = await self._addresses.hit(address) if self._addresses is not None else None
        return 0 if exceeded is None else exceeded.wait_s

    async def reset(self, to: str) -> bool:
        """Count a mail with a token for a new password, and say whether it may be sent."""
        return await self._resets.hit(_who(to, None)) is None

    async def code(self, to: str, *, asker: str) -> bool:
        """Count a mail with a code that `asker` wants to be sent to an address, and say whether it may be sent.

        Nobody is told to wait for what others have asked for: the answer is the same when it is not sent.

        Raises:
            TooManyAttempts: `asker` has asked for this address too often.
        """
        exceeded = await self._codes_asked.hit(_who(to, asker))
        if exceeded is not None:
            raise errors.TooManyAttempts(exceeded.wait_s)
        return await self._codes.hit(_who(to, None)) is None


def of_login(text: str, user_id: UUID | None) -> str:
    """What logins by this text are counted by: whose it is, by whichever of their logins; or it itself if nobody's."""
    return f"login {text}" if user_id is None else f"user {user_id}"


def _who(about: str, known_at: str | None) -> str:
    return sha256(about.encode() + (b"" if known_at is None else b"\0" + known_at.encode())).hexdigest()
