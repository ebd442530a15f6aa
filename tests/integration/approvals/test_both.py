"""A withdrawal that takes a factor of whoever asks and another person as well: in this order, and each once."""

from __future__ import annotations

from uuid import UUID

import pytest

from billfold.identity import errors
from billfold.kernel.deferred import Deferred
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.wallets import Wallets
from billfold.wallets.contracts import Moved, Order
from tests.integration.approvals.people import ABOVE, Bank
from tests.integration.identity.people import House


async def test_who_has_approved_it_themselves_waits_for_another_person(bank: Bank, checker: Principal) -> None:
    house = House(bank.database)
    ledger = await Ledger.start(database=bank.database)
    wallets = Wallets(
        database=bank.database,
        ledger=ledger,
        identity=bank.identity,
        approvals=bank.approvals,
        approval_above=ABOVE,
        step_up=house.step_up,
        step_up_above={"USD": "50"},
    )
    bank.approvals.carried_out_by(wallets.executors)
    ada = await house.person()
    app = await house.app(ada)
    hers = await bank.wallet(ada, holding="1000.00")
    order = Order(kind="withdrawal", source=hers, money=Money("500.00", "USD"))

    async def withdraw(step_up: UUID | None = None) -> Moved:
        return await wallets.movements.move(principal=ada, order=order, key="both", step_up=step_up)

    with pytest.raises(errors.StepUpRequired) as required:
        await withdraw()
    proof = UUID(required.value.extensions["step_up"]["id"])
    await house.approve(ada, proof, app)
    with pytest.raises(Deferred) as deferred:
        await withdraw(proof)
    done = await bank.approvals.approve(by=checker, approval_id=UUID(deferred.value.path.rpartition("/")[2]))
    assert done.status == "executed"
    assert (await withdraw()).replayed
    await ledger.close()
