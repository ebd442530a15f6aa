"""Routes of messages that could not be applied. All of them are for operators."""

from typing import Annotated, Any

import msgspec
from litestar import get, post
from msgspec import Meta

from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform import web
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import DeadLetter, DeadLetterContent, DeadLetterStatus
from billfold.wallets.rest import answers, refusals
from billfold.wallets.rest.answers import Page

_TAG = "Dead letters"
_PATH = "/admin/dead-letters"
_LISTED: dict[str, Any] = {
    "id": "019aa2c6-7a00-7000-8000-00000000e001",
    "status": "open",
    "reason": "insufficient_funds",
    "detail": "The available balance is not enough.",
    "subject": "billfold.confirmed-transactions",
    "sequence": 4711,
    "deliveries": 1,
    "retries": 0,
    "first_seen": "2026-01-31T12:00:00.123456Z",
    "last_seen": "2026-01-31T12:00:00.123456Z",
    "headers": {},
    "transfer_id": None,
    "size": 140,
}
_EXAMPLE = _LISTED | {
    "content": "eyJpZCI6InR4LTEiLCJzb3VyY2UiOiIvYmFuayIsIndhbGxldCI6IjAxOWFhMmM2LTdhMDAtNzAwMC04MDAwLTAwMDAwMDAw"
    "YTAwMSIsImRpcmVjdGlvbiI6ImRlYml0IiwiYW1vdW50Ijp7ImFtb3VudCI6IjEyLjM0IiwiYXNzZXQiOiJVU0QifX0=",
}
_UNKNOWN = (ids.InvalidId, errors.DeadLetterUnknown)
#: What may come between a decision about one and the ledger.
_DECIDED = (
    *_UNKNOWN,
    errors.DeadLetterClosed,
    errors.DeadLetterInUse,
    ledger_errors.OutcomeUnknown,
    ledger_errors.Overloaded,
)


class DeadLetterList(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters are wanted."""

    status: Annotated[DeadLetterStatus, Meta(description="Only those; without it, all.")] | None = None
    cursor: answers.Cursor = None
    limit: answers.Limit = None


@get(
    _PATH,
    opt=web.operation(
        summary="List dead letters",
        tag=_TAG,
        scope=contracts.DEAD_LETTERS,
        everybody=contracts.DEAD_LETTERS,
        description="Messages from the queue of confirmed transactions that could not be applied, the newest first, "
        "without their contents.",
        errors=refusals.PAGE,
        answers={"items": [_LISTED], "next": None},
    ),
)
async def list_dead_letters(parameters: DeadLetterList, principal: Principal, wallets: Wallets) -> Page[DeadLetter]:
    found = await wallets.dead_letters.page(
        principal=principal, status=parameters.status, cursor=parameters.cursor, limit=parameters.limit
    )
    return answers.page(_PATH, parameters, found)


@get(
    _PATH + "/{dead_letter_id:str}",
    opt=web.operation(
        summary="Get a dead letter",
        tag=_TAG,
        scope=contracts.DEAD_LETTERS,
        everybody=contracts.DEAD_LETTERS,
        description="With its content, byte for byte as it came.",
        errors=_UNKNOWN,
        answers=_EXAMPLE,
    ),
)
async def get_dead_letter(dead_letter_id: str, principal: Principal, wallets: Wallets) -> DeadLetterContent:
    return await wallets.dead_letters.dead_letter(principal=principal, dead_letter_id=ids.parse(dead_letter_id))


@post(
    _PATH + "/{dead_letter_id:str}/retry",
    status_code=200,
    opt=web.operation(
        summary="Retry a dead letter",
        tag=_TAG,
        scope=contracts.DEAD_LETTERS,
        everybody=contracts.DEAD_LETTERS,
        description="Applies the message once more, after what was in its way is mended. Refused again it stays open "
        "and says why. It can be repeated without an idempotency key: of all attempts, whoever makes them, at most one "
        "moves money, because each needs the refusal of the one before it.",
        errors=_DECIDED,
        answers=_EXAMPLE | {"status": "retried", "retries": 1, "transfer_id": "019aa2c6-7a00-7000-8000-00000000c001"},
    ),
)
async def retry_dead_letter(dead_letter_id: str, principal: Principal, wallets: Wallets) -> DeadLetterContent:
    return await wallets.dead_letters.retry(principal=principal, dead_letter_id=ids.parse(dead_letter_id))


@post(
    _PATH + "/{dead_letter_id:str}/discard",
    status_code=200,
    opt=web.operation(
        summary="Discard a dead letter",
        tag=_TAG,
        scope=contracts.DEAD_LETTERS,
        everybody=contracts.DEAD_LETTERS,
        description="Closes it for ever without moving money, and voids its source and id: the same transaction sent "
        "again is dropped. It stays to be read.",
        errors=(*_DECIDED, errors.DeadLetterApplied),
        answers=_EXAMPLE | {"status": "discarded"},
    ),
)
async def discard_dead_letter(dead_letter_id: str, principal: Principal, wallets: Wallets) -> DeadLetterContent:
    return await wallets.dead_letters.discard(principal=principal, dead_letter_id=ids.parse(dead_letter_id))


handlers = [list_dead_letters, get_dead_letter, retry_dead_letter, discard_dead_letter]
