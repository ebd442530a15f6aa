"""What waits for one's own approval, over HTTP. It is refused elsewhere, with `step_up_required`."""

from litestar import get, post

from billfold.identity import Identity, errors
from billfold.identity.contracts import Proof, StepUpChallenge
from billfold.identity.rest.factors import OPTIONS
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform import web

_TAG = "Approving with a factor"
_EXAMPLE = {
    "id": "019aa2c6-7a00-7000-8000-00000000f003",
    "operation": "withdrawal",
    "content": {"wallet": "019aa2c6-7a00-7000-8000-00000000a001", "to": "outside", "amount": "1500.00", "asset": "USD"},
    "methods": ["passkey", "totp", "recovery_code"],
    "expires_at": "2026-11-21T09:35:00.123456Z",
    "approved_at": None,
    "passkey_options": OPTIONS,
}


@get(
    "/auth/step-up/{step_up_id:str}",
    opt=web.operation(
        summary="Show what waits for your approval",
        tag=_TAG,
        scope="account",
        description="Show operation and content to the person who is to approve it; a passkey signs them.",
        errors=(errors.StepUpUnknown, ids.InvalidId),
        answers=_EXAMPLE,
    ),
)
async def show_step_up(step_up_id: str, principal: Principal, identity: Identity) -> StepUpChallenge:
    return await identity.step_up.show(by=principal, step_up_id=ids.parse(step_up_id))


@post(
    "/auth/step-up/{step_up_id:str}",
    status_code=200,
    opt=web.operation(
        summary="Approve with a factor",
        tag=_TAG,
        scope="account",
        description="Then send the request that was refused again, with the same Idempotency-Key and the header "
        "`Step-Up: <id>`, within five minutes. The approval is good for that very content, and for one request. It "
        "takes a session: an API key approves nothing.",
        errors=(
            errors.StepUpUnknown,
            ids.InvalidId,
            errors.OneFactorWanted,
            errors.SecondFactorWrong,
            errors.PasskeyCloned,
            errors.TooManyAttempts,
        ),
        sends={"totp": "492039"},
        answers=_EXAMPLE | {"approved_at": "2026-11-21T09:31:00.123456Z", "passkey_options": None},
    ),
)
async def approve(step_up_id: str, command: Proof, principal: Principal, identity: Identity) -> StepUpChallenge:
    return await identity.step_up.approve(by=principal, step_up_id=ids.parse(step_up_id), proof=command)


handlers = [show_step_up, approve]
