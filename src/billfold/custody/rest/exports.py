"""Routes of seeds that are to leave the signer. Only sealed packages pass here."""

from uuid import UUID

from litestar import get, post

from billfold.custody import Custody, errors
from billfold.custody.contracts import EXPORT_NEEDS, KeyExport, NewKeyExport
from billfold.identity import errors as identity_errors
from billfold.identity.contracts import Approval
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform import web

_TAG = "Chains"
_EXAMPLE = {
    "id": "019aa2c6-7a00-7000-8000-00000000f001",
    "chain": "bitcoin",
    "recipient": "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    "approved_at": "2026-11-21T10:00:00Z",
    "package": '{"format":"billfold-seed-export-v1", …}',
}
_SCOPE, *_ALSO = EXPORT_NEEDS


@post(
    "/chains/{chain:str}/key-exports",
    opt=web.operation(
        summary="Ask for the seed of a chain",
        tag=_TAG,
        scope=_SCOPE,
        also=tuple(_ALSO),
        description="For treasurers: have the signer give out the seed of the chain's addresses, sealed for "
        "a recipient whom the signer's own policy names. It takes a factor of the caller's own, and another person who "
        "approves.",
        errors=(
            errors.ChainUnknown,
            identity_errors.StepUpRequired,
            identity_errors.SecondFactorMissing,
            identity_errors.TooManyApprovals,
        ),
        sends={"recipient": _EXAMPLE["recipient"], "reason": "For the safe."},
        answers=_EXAMPLE,
        defers=Approval,
    ),
)
async def ask(
    chain: str, command: NewKeyExport, step_up: UUID | None, principal: Principal, custody: Custody
) -> KeyExport:
    await custody.exporting.ask(
        by=principal, chain=chain, recipient=command.recipient, reason=command.reason, proof=step_up
    )


@get(
    "/key-exports/{export_id:str}",
    opt=web.operation(
        summary="Fetch a seed that was approved",
        tag=_TAG,
        scope=_SCOPE,
        also=tuple(_ALSO),
        description="For whoever has asked, once another person has approved: the sealed package, by the approval's "
        "id. Again it is the same.",
        errors=(
            errors.KeyExportUnknown,
            errors.KeyExportWaits,
            errors.SigningUnavailable,
            identity_errors.ApprovalUnknown,
            ids.InvalidId,
        ),
        answers=_EXAMPLE,
    ),
)
async def fetch(export_id: str, principal: Principal, custody: Custody) -> KeyExport:
    return await custody.exporting.fetch(by=principal, approval_id=ids.parse(export_id))


handlers = [ask, fetch]
