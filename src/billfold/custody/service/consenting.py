"""What a person can't do alone about keys that are elsewhere: say which addresses are ours, and give up what was built.

They show by a factor that it is them, and another person approves. Programs ask nobody: their keys are systems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from billfold.custody import contracts
from billfold.custody.contracts.elsewhere import ChainKeys, ListedPurpose
from billfold.custody.service.elsewhere import Elsewhere
from billfold.custody.service.withdrawals.outside import HandingOut
from billfold.identity import Approvals, StepUp
from billfold.identity.contracts import Approved, Demand, Executor
from billfold.kernel import idempotency
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Connection

#: Kinds of approvals, and operations of step-ups.
KEY = "chain_key"
ADDRESSES = "chain_addresses"
DISCARD = "unsigned_discard"
NEEDS = frozenset({contracts.OPERATOR, contracts.WITHDRAW})


class Consenting:
    """Does it for programs, and for people when another one has approved."""

    def __init__(
        self, *, elsewhere: Elsewhere, outside: HandingOut, approvals: Approvals | None, step_up: StepUp | None
    ) -> None:
        self._elsewhere = elsewhere
        self._outside = outside
        self._approvals = approvals
        self._step_up = step_up

    @property
    def executors(self) -> Mapping[str, Executor]:
        """What carries it out when it is approved."""
        return {KEY: self._key_approved, ADDRESSES: self._addresses_approved, DISCARD: self._discard_approved}

    async def import_public_key(
        self, *, by: Principal, chain: str, public_key: str, fingerprint: str | None, proof: UUID | None
    ) -> ChainKeys:
        """Let all addresses of a chain follow from the public key of an account.

        Raises: as `Elsewhere.import_public_key`, and
            Deferred, StepUpRequired, SecondFactorMissing, TooManyApprovals: of a person.
        """
        checked = await self._elsewhere.checked_key(chain=chain, public_key=public_key)
        content = {"chain": chain, "public_key": checked, "fingerprint": fingerprint or ""}
        await self._ask(by, KEY, content, content, proof)
        return await self._elsewhere.import_public_key(chain=chain, public_key=public_key, fingerprint=fingerprint)

    async def import_addresses(
        self, *, by: Principal, chain: str, purpose: ListedPurpose, addresses: Sequence[str], proof: UUID | None
    ) -> ChainKeys:
        """Add addresses to the list of those that are given out.

        Raises: as `Elsewhere.import_addresses`, and
            Deferred, StepUpRequired, SecondFactorMissing, TooManyApprovals: of a person.
        """
        checked = await self._elsewhere.checked_addresses(chain=chain, purpose=purpose, addresses=addresses)
        content = {"chain": chain, "purpose": purpose, "addresses": list(checked)}
        shown = {
            "chain": chain,
            "purpose": purpose,
            "count": str(len(checked)),
            "first": checked[0],
            "sha256": sha256("\n".join(checked).encode()).hexdigest(),
        }
        await self._ask(by, ADDRESSES, content, shown, proof)
        return await self._elsewhere.import_addresses(chain=chain, purpose=purpose, addresses=addresses)

    async def discard(self, *, by: Principal, tx_id: UUID, proof: UUID | None) -> None:
        """Give a transaction up that was not handed in.

        What a person has said is of it as they saw it: if it is exported by then, they have to be asked again.

        Raises: as `HandingOut.discard`, and
            Deferred, StepUpRequired, SecondFactorMissing, TooManyApprovals: of a person.
        """
        seen = await self._outside.look(tx_id=tx_id)
        content = {"chain": seen.chain, "transaction": str(tx_id), "exported_at": seen.exported}
        await self._ask(by, DISCARD, content, content, proof)
        await self._outside.discard(tx_id=tx_id)

    async def _ask(
        self, by: Principal, kind: str, content: Mapping[str, Any], shown: Mapping[str, str], proof: UUID | None
    ) -> None:
        """Go on alone only if it is a program."""
        if by.user_id is None:
            return
        for scope in sorted(NEEDS):
            by.require(scope)
        assert self._step_up is not None, "where people are, there are factors"
        assert self._approvals is not None, "where people are, there are approvals"
        await self._step_up.demand(principal=by, operation=kind, content=shown, key=None, proof=proof)
        key = idempotency.key_of_content(owner=by.owner_id, operation=kind, content=msgspec.json.encode(content))
        demand = Demand(kind=kind, content=content, needs=NEEDS, concerns=frozenset(), key=key)
        await self._approvals.demand(principal=by, demand=demand)
        raise AssertionError("what has no idempotency key of its own is carried out by its executor alone")

    async def _key_approved(self, approved: Approved) -> None:
        chain, public_key, fingerprint = (approved.content[name] for name in ("chain", "public_key", "fingerprint"))
        await self._elsewhere.import_public_key(
            chain=chain, public_key=public_key, fingerprint=fingerprint or None, concluded=self._concluded(approved)
        )

    async def _addresses_approved(self, approved: Approved) -> None:
        chain, purpose, addresses = (approved.content[name] for name in ("chain", "purpose", "addresses"))
        await self._elsewhere.import_addresses(
            chain=chain, purpose=purpose, addresses=addresses, concluded=self._concluded(approved)
        )

    async def _discard_approved(self, approved: Approved) -> None:
        await self._outside.discard(
            tx_id=UUID(approved.content["transaction"]),
            # What was asked for by an older version does not say.
            exported=approved.content.get("exported_at", ""),
            concluded=self._concluded(approved),
        )

    def _concluded(self, approved: Approved) -> partial[Any]:
        assert self._approvals is not None, "somebody has approved"
        return partial(_conclude, self._approvals, approved.id)


async def _conclude(approvals: Approvals, approval_id: UUID, connection: Connection) -> bool:
    return await approvals.conclude(connection, approval_id)
