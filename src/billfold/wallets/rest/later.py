"""The answer to whoever moves money and prefers not to wait for it."""

from http import HTTPStatus

from billfold.kernel import errors
from billfold.platform import web
from billfold.platform.web import Answer, Call
from billfold.wallets import Wallets
from billfold.wallets.contracts import Acceptance, MoneyRequest, Order

PATH = "/requests"


async def answer(wallets: Wallets, call: Call, order: Order) -> Answer:
    """Accept `order` to be carried out later. What is done while its caller waits is answered as ever."""
    accepted = await wallets.requests.accept(principal=call.principal, order=order, key=call.key, step_up=call.step_up)
    request = accepted.request
    if request is None:
        return _moved(accepted)
    applied = (b"preference-applied", call.preferences.applied().encode("ascii"))
    if call.preferences.wait_s:
        try:
            found = await wallets.requests.outcome(
                principal=call.principal, accepted=request, wait_s=call.preferences.wait_s
            )
        except errors.BillfoldError as error:
            # It was accepted all the same, and can be looked at.
            error.extensions = {**error.extensions, "accepted_request": str(request.id)}
            raise
        if found.request is None:
            return _moved(found, replayed=accepted.replayed, headers=(applied,))
        request = found.request
    return Answer(
        request,
        replayed=accepted.replayed,
        status=HTTPStatus.ACCEPTED,
        headers=((b"location", path_of(request).encode("ascii")), applied),
    )


def path_of(request: MoneyRequest) -> str:
    """Where one looks what has become of it."""
    return f"{web.PREFIX}{PATH}/{request.id}"


def _moved(found: Acceptance, *, replayed: bool = False, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    assert found.moved is not None, "there is a request, or a transfer"
    return Answer(found.moved.transfer, replayed=replayed or found.moved.replayed, headers=headers)
