"""Which passwords are taken, and the one form of a password that is hashed. Hashing is the service's.

A password is compared in NFKC (NIST SP 800-63B, 3.1.1.2): what one keyboard sends as one character, another one sends
as two. Nothing else of it is changed, blanks at its ends included.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable
from itertools import pairwise

from billfold.identity import errors
from billfold.identity.contracts import PASSWORD_MIN

LENGTH_MAX = 128
#: NFKC puts at most four code points together, so nothing longer than this can be a password. It is told by its length
#: alone: whoever sends a hundred thousand characters makes nobody work on them.
RAW_MAX = 4 * LENGTH_MAX
#: With fewer different characters any password is soon found.
DIFFERENT_MIN = 5
#: A common word does not get good by a year and an exclamation mark, but by this many further characters.
_AROUND_MAX = 8
#: Shorter names stand in too many good passwords.
_PERSONAL_MIN = 4
#: What somebody tries first who knows which service this is; beside the common words.
OUR_WORDS = frozenset({"billfold", "mybillfold", "billfoldwallet", "walletbillfold", "billfoldpassword", "mywallet"})
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")
#: What is written for a letter by those who believe that it helps.
_LETTERS = str.maketrans("@4301!5$7", "aaeoiisst")


def normalised(password: str, *, pointer: str = "/password") -> str:
    """The form of a password that is hashed.

    Raises:
        PasswordTooLong: no password of ours can be so long.
    """
    if len(password) > RAW_MAX:
        raise errors.PasswordTooLong(pointer=pointer)
    text = unicodedata.normalize("NFKC", password)
    if len(text) > LENGTH_MAX:
        raise errors.PasswordTooLong(pointer=pointer)
    return text


def check(password: str, *, common: Container[str], personal: Iterable[str], pointer: str = "/password") -> str:
    """The form of a new password that is hashed. `common` are bare lower-case words; `personal` is the user's own.

    Raises:
        PasswordTooShort, PasswordTooLong, PasswordPersonal, PasswordTooCommon.
    """
    text = normalised(password, pointer=pointer)
    if len(text) < PASSWORD_MIN:
        raise errors.PasswordTooShort(pointer=pointer)
    folded = text.casefold()
    if _is_personal(folded, personal):
        raise errors.PasswordPersonal(pointer=pointer)
    if len(set(folded)) < DIFFERENT_MIN or _is_a_run(folded) or any(one in common for one in _cores(folded)):
        raise errors.PasswordTooCommon(pointer=pointer)
    return text


def _is_personal(folded: str, personal: Iterable[str]) -> bool:
    squeezed = _squeezed(folded)
    for one in personal:
        whole = _squeezed(unicodedata.normalize("NFKC", one).casefold())
        local = _squeezed(one.partition("@")[0].casefold())
        if squeezed in {whole, local} or (len(local) >= _PERSONAL_MIN and _without_around(squeezed) == local):
            return True
    return False


def _cores(folded: str) -> Iterable[str]:
    """The words that a password may be made of one of: as it is, without what is around it, and repeated."""
    # An exclamation mark may stand for a letter within a word, and for nothing behind one.
    for text in (folded, folded.translate(_LETTERS), _without_around(folded).translate(_LETTERS)):
        for candidate in (text, _without_around(text)):
            yield candidate
            yield _repeated(candidate)


def _without_around(text: str) -> str:
    core = _AROUND.sub("", text)
    return core if len(text) - len(core) <= _AROUND_MAX else text


def _repeated(text: str) -> str:
    """What the text is a repetition of; itself if it is none."""
    period = (text + text).find(text, 1) if text else 0
    return text[:period]


def _is_a_run(text: str) -> bool:
    """Whether each character follows the one before as in the alphabet or in counting, up or down."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    # From 9 it goes on with 0, and the other way round.
    return steps <= {1, -9} or steps <= {-1, 9}


def _squeezed(text: str) -> str:
    return "".join(character for character in text if character.isalnum())
