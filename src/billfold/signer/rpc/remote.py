"""The signer as another process calls it. Whatever is not answered is sent again with the same ids."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from billfold.chains.port import Network, Signed
from billfold.chains.signing_port import Place, Purpose
from billfold.platform.rpc.addresses import Address
from billfold.platform.rpc.replicas import Replicas
from billfold.platform.tls import Mutual
from billfold.signer import errors
from billfold.signer.contracts import ADDRESSES_MAX, Expected, Tree
from billfold.signer.rpc import values
from billfold.signer.rpc.v1 import signer_pb2 as pb
from billfold.signer.rpc.v1 import signer_pb2_grpc as pb_grpc

#: Addresses that are asked for at a time: each call has its own time, and the slowest curve takes a second for so many.
_ADDRESSES_AT_ONCE = 1_000


@asynccontextmanager
async def connected(
    *, addresses: Sequence[Address], tls: Mutual | None, token: str | None, timeout_s: float
) -> AsyncIterator[RemoteSigner]:
    """The signer that is served at `addresses`, until the block ends. Whether it answers shows with the calls."""
    replicas = Replicas(addresses, pb_grpc.SignerServiceStub, tls=tls, token=token, timeout_s=timeout_s)
    try:
        yield RemoteSigner(replicas)
    finally:
        await replicas.close()


class RemoteSigner:
    """As contracts.SigningService."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    async def check(self) -> None:
        """Pass if the signer serves.

        Raises: ServiceUnavailable.
        """
        await self._replicas.check()

    async def create(self, *, tree_id: UUID, chain: str, network: Network) -> Tree:
        request = pb.CreateRequest(tree_id=str(tree_id), chain=chain, network=network)
        return values.read_tree((await self._ask("Create", request)).tree)

    async def trees(self) -> Sequence[Tree]:
        answer = await self._ask("ListTrees", pb.ListTreesRequest())
        return [values.read_tree(message) for message in answer.trees]

    async def addresses(self, *, tree_id: UUID, purpose: Purpose, first: int, count: int) -> Sequence[str]:
        if not 1 <= count <= ADDRESSES_MAX:
            raise errors.RequestInvalid(f"There are 1 to {ADDRESSES_MAX} addresses at a time.")
        found: list[str] = []
        while len(found) < count:
            wanted = min(_ADDRESSES_AT_ONCE, count - len(found))
            request = pb.GetAddressesRequest(
                tree_id=str(tree_id), purpose=purpose, first=first + len(found), count=wanted
            )
            part = (await self._ask("GetAddresses", request)).addresses
            if len(part) != wanted:
                raise errors.SignerError("The signer has answered with another number of addresses.")
            found += part
        return found

    async def sign(
        self, *, request_id: UUID, tree_id: UUID, payload: bytes, places: Mapping[str, Place], expected: Expected
    ) -> Signed:
        request = pb.SignRequest(
            request_id=str(request_id),
            tree_id=str(tree_id),
            payload=payload,
            places={address: values.place(place) for address, place in places.items()},
            expected_payments=map(values.payment, expected.payments),
            expected_fee_max=str(expected.fee_max),
            to_warm=expected.to_warm,
        )
        answer = await self._ask("Sign", request)
        return Signed(raw=answer.raw, chain_tx=answer.chain_tx)

    async def claim(
        self, *, tree_id: UUID, snapshot: UUID, root: bytes, places: Mapping[str, Place]
    ) -> Mapping[str, str]:
        request = pb.ClaimRequest(
            tree_id=str(tree_id),
            snapshot=str(snapshot),
            root=root,
            places={address: values.place(place) for address, place in places.items()},
        )
        return dict((await self._ask("Claim", request)).signatures)

    async def export(self, *, request_id: UUID, tree_id: UUID, recipient: bytes) -> bytes:
        request = pb.ExportRequest(request_id=str(request_id), tree_id=str(tree_id), recipient=recipient)
        package: bytes = (await self._ask("Export", request)).package
        return package

    async def _ask(self, method: str, request: Any) -> Any:
        async def send(stub: Any, **given: Any) -> Any:
            return await getattr(stub, method)(request, **given)

        return await self._replicas.call(method, send)
