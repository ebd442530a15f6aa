"""Routes of records."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import get
from msgspec import Meta

from billfold.audit import Audit, contracts, errors
from billfold.audit.contracts import AuditRecord, Filter, RecordProof
from billfold.audit.rest.kept import TAG, kept
from billfold.kernel import clock, paging
from billfold.kernel.principal import Principal
from billfold.platform import web

_PATH = "/admin/audit/records"
_OWN = "/audit/records"
_TEXT_MAX = 200
_RECORD: dict[str, Any] = {
    "position": 4711,
    "type": "wallet.frozen.v1",
    "source": "/billfold/wallets",
    "id": "019aa2c6-7a00-7000-8000-00000000f001",
    "subject": "019aa2c6-7a00-7000-8000-00000000a001",
    "time": "2026-01-31T12:00:00.123456Z",
    "outcome": "done",
    "origin": {
        "channel": "api",
        "address": "192.0.2.17",
        "request_id": "0f6c7d2a91b3e845-2a",
        "credential_id": "019aa2c6-7a00-7000-8000-00000000b001",
        "owner_id": "019aa2c6-7a00-7000-8000-00000000d001",
        "user_id": "019aa2c6-7a00-7000-8000-00000000d001",
        "on_behalf_of": None,
    },
    "before": {"status": "open"},
    "data": {"status": "frozen"},
}
_PROOF = {
    "record": '{"before":{"status":"open"},"data":{"status":"frozen"},"id":"019aa2c6-7a00-7000-8000-00000000f001",…}',
    "proof": ["RIOIi9dvQZW0sDTtIx3WuJlLtuZBhaQmqjVjY1TIcXo="],
    "head": "billfold/audit\n4712\nJmBxGG1Wvb…=\n2026-01-31T12:00:10.000000Z\n\n\u2014 billfold/audit 1y4hFm9q…=\n",
}
_PAGE = (paging.InvalidCursor, paging.InvalidLimit, errors.AuditNotKept)
_UNPROVEN = (errors.RecordUnknown, errors.NotSealedYet, errors.AuditNotKept)

_Text = Annotated[str, Meta(max_length=_TEXT_MAX)]


class RecordList(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are wanted."""

    type: (
        Annotated[
            str,
            Meta(
                max_length=_TEXT_MAX,
                description="Of this type; with a dot at the end of all that begin so.",
                examples=["wallet."],
            ),
        ]
        | None
    ) = None
    actor: Annotated[_Text, Meta(description="Done by this person, or by the program of this owner.")] | None = None
    owner: Annotated[_Text, Meta(description="About what belongs to this owner.")] | None = None
    subject: Annotated[_Text, Meta(description="About exactly this.")] | None = None
    outcome: Annotated[_Text, Meta(description="`done`, or the code of a refusal.")] | None = None
    since: Annotated[clock.Text, Meta(description="At this instant or later.", examples=["2026-01-01"])] | None = None
    until: Annotated[clock.Text, Meta(description="Before this instant.", examples=["2026-02-01"])] | None = None
    cursor: web.Cursor = None
    limit: web.Limit = paging.LIMIT_DEFAULT

    def filter(self) -> Filter:
        """The question in the words of the contract."""
        return Filter(
            type=self.type,
            actor=self.actor,
            owner=self.owner,
            subject=self.subject,
            outcome=self.outcome,
            since=_instant(self.since, "since"),
            until=_instant(self.until, "until"),
        )


class OwnList(msgspec.Struct, frozen=True, kw_only=True):
    """Which page is wanted."""

    cursor: web.Cursor = None
    limit: web.Limit = paging.LIMIT_DEFAULT


@get(
    _PATH,
    opt=web.operation(
        summary="List audit records",
        tag=TAG,
        scope=contracts.READ,
        everybody=contracts.READ,
        description="What was done by whom, from where and with what outcome, the newest first. To look at it is "
        "recorded too.",
        errors=(clock.InvalidInstant, *_PAGE),
        answers={"items": [_RECORD], "next": None},
    ),
)
async def list_records(parameters: RecordList, principal: Principal, audit: Audit | None) -> web.Page[AuditRecord]:
    asked = parameters.filter()
    found = await kept(audit).reading.page(by=principal, asked=asked, limit=parameters.limit, cursor=parameters.cursor)
    return web.page(web.PREFIX + _PATH, parameters, found)


@get(
    _PATH + "/{record_id:str}",
    opt=web.operation(
        summary="Prove an audit record",
        tag=TAG,
        scope=contracts.READ,
        everybody=contracts.READ,
        description="The text of the record that is hashed, and the proof that it is in the tree of the newest signed "
        "head. `billfold audit verify` checks it.",
        errors=_UNPROVEN,
        answers=_PROOF,
    ),
)
async def prove_record(record_id: str, principal: Principal, audit: Audit | None) -> RecordProof:
    return await kept(audit).reading.prove(by=principal, record_id=record_id)


@get(
    _OWN,
    opt=web.operation(
        summary="List your own audit records",
        tag=TAG,
        scope=contracts.OWN,
        description="What you have done, and what nobody who is known has done with your account, such as failed "
        "logins; the newest first. Not what others have done: those records have in them where these others were. It "
        "takes somebody who has logged in: what a program has done, auditors see.",
        errors=_PAGE,
        answers={"items": [_RECORD], "next": None},
    ),
)
async def list_own_records(parameters: OwnList, principal: Principal, audit: Audit | None) -> web.Page[AuditRecord]:
    found = await kept(audit).reading.own(by=principal, limit=parameters.limit, cursor=parameters.cursor)
    return web.page(web.PREFIX + _OWN, parameters, found)


@get(
    _OWN + "/{record_id:str}",
    opt=web.operation(
        summary="Prove your own audit record",
        tag=TAG,
        scope=contracts.OWN,
        description="As for auditors. The hashes of the proof tell nothing of other records.",
        errors=_UNPROVEN,
        answers=_PROOF,
    ),
)
async def prove_own_record(record_id: str, principal: Principal, audit: Audit | None) -> RecordProof:
    return await kept(audit).reading.prove_own(by=principal, record_id=record_id)


def _instant(text: str | None, pointer: str) -> datetime | None:
    return None if text is None else clock.parse(text, pointer=pointer)


handlers = [list_records, prove_record, list_own_records, prove_own_record]
