"""Seeds for somebody outside: asked for by one person, with a factor of theirs, and approved by another one.

The signer does it, and gives it out for recipients alone that its own policy names; here nothing of a seed is ever
seen but the sealed package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn
from uuid import UUID

import msgspec

from billfold.custody import errors
from billfold.custody.contracts import EXPORT_NEEDS, IssuedTree, KeyExport, KeyExported
from billfold.custody.events import SOURCE
from billfold.custody.service.issued import Issued
from billfold.identity import Approvals, StepUp
from billfold.identity.contracts import Approved, Demand, Executor
from billfold.kernel import idempotency
from billfold.kernel.clock import Clock
from billfold.kernel.principal import Principal
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Database
from billfold.signer.contracts import SigningService

#: The kind of the approval, and the operation of the step-up.
KIND = "key_export"
_OPERATION = "keys.export"


class Exporting:
    """Asked for, carried out, and fetched."""

    def __init__(
        self,
        *,
        database: Database,
        issued: Issued,
        signer: SigningService | None,
        approvals: Approvals | None,
        step_up: StepUp | None,
        clock: Clock,
    ) -> None:
        self._database = database
        self._issued = issued
        self._signer = signer
        self._approvals = approvals
        self._step_up = step_up
        self._clock = clock

    @property
    def executors(self) -> Mapping[str, Executor]:
        """What carries it out when it is approved."""
        return {KIND: self._carry_out}

    async def ask(self, *, by: Principal, chain: str, recipient: str, reason: str, proof: UUID | None) -> NoReturn:
        """Have the seed of a chain's tree given out, once somebody else has approved it.

        Raises:
            Deferred: it waits for that, always.
            SessionNeeded, MissingScope, ChainUnknown.
            StepUpRequired, SecondFactorMissing: a factor of the caller's own comes first.
            TooManyApprovals.
        """
        by.require_person()
        for scope in EXPORT_NEEDS:
            by.require(scope)
        tree = await self._tree(chain)
        content = {
            "chain": chain,
            "network": tree.network,
            "tree": str(tree.tree_id),
            "recipient": recipient,
            "reason": reason,
        }
        assert self._step_up is not None, "where people are, there are factors"
        assert self._approvals is not None, "where people are, there are approvals"
        await self._step_up.demand(principal=by, operation=_OPERATION, content=content, key=None, proof=proof)
        demand = Demand(
            kind=KIND,
            content=content,
            needs=frozenset(EXPORT_NEEDS),
            concerns=frozenset(),
            key=idempotency.key_of_content(owner=by.owner_id, operation=KIND, content=msgspec.json.encode(content)),
        )
        await self._approvals.demand(principal=by, demand=demand)
        raise AssertionError("what has no idempotency key of its own is carried out by its executor alone")

    async def fetch(self, *, by: Principal, approval_id: UUID) -> KeyExport:
        """The package, for whoever has asked for it. Again it is the same.

        Raises:
            SessionNeeded, MissingScope.
            KeyExportUnknown: there is none, or somebody else has asked for it.
            KeyExportWaits: nobody has approved it, or it came to nothing.
            SigningUnavailable, ServiceUnavailable.
        """
        maker = by.require_person()
        for scope in EXPORT_NEEDS:
            by.require(scope)
        assert self._approvals is not None, "where people are, there are approvals"
        found = await self._approvals.find(by=by, approval_id=approval_id)
        if found.kind != KIND or found.maker_id != str(maker):
            raise errors.KeyExportUnknown
        if found.status != "executed":
            raise errors.KeyExportWaits(f"The export is {found.status}; there is a package when it is executed.")
        package = await self._exported(approval_id, found.content)
        return KeyExport(
            id=found.id,
            chain=found.content["chain"],
            recipient=found.content["recipient"],
            approved_at=found.decided_at,
            package=package.decode(),
        )

    async def _carry_out(self, approved: Approved) -> None:
        await self._exported(approved.id, approved.content)
        assert self._approvals is not None, "somebody has approved"
        async with self._database.transaction() as connection:
            if not await self._approvals.conclude(connection, approved.id):
                return
            await outbox.append_fact(
                connection,
                "key.exported.v1",
                source=SOURCE,
                subject=str(approved.id),
                time=self._clock.now(),
                data=msgspec.convert(approved.content, KeyExported),
            )

    async def _exported(self, request_id: UUID, content: Mapping[str, str]) -> bytes:
        """For the same approval it is the same package."""
        if self._signer is None:
            raise errors.SigningUnavailable
        return await self._signer.export(
            request_id=request_id, tree_id=UUID(content["tree"]), recipient=bytes.fromhex(content["recipient"])
        )

    async def _tree(self, chain: str) -> IssuedTree:
        for tree in await self._issued.trees():
            if tree.chain == chain:
                return tree
        raise errors.ChainUnknown("No addresses of such a chain were given out, so there is no seed of it.")
