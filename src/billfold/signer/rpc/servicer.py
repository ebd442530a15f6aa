"""The service over the facade: it reads a message, calls the facade, and writes what it answers."""

from __future__ import annotations

from typing import Any

import grpc

from billfold.chains.port import Network
from billfold.chains.signing_port import Purpose
from billfold.platform.rpc.errors import MessageInvalid
from billfold.signer.contracts import CLAIMS_MAX, PAYMENTS_MAX, PLACES_MAX, Expected, SigningService
from billfold.signer.rpc import values
from billfold.signer.rpc.v1 import signer_pb2 as pb
from billfold.signer.rpc.v1 import signer_pb2_grpc as pb_grpc

#: The services, as health and reflection know them.
NAMES = (pb.DESCRIPTOR.services_by_name["SignerService"].full_name,)


class Servicer(pb_grpc.SignerServiceServicer):
    """Each method is the facade's of the same name."""

    def __init__(self, signer: SigningService) -> None:
        self._signer = signer

    async def Create(self, request: pb.CreateRequest, _context: Any) -> pb.CreateResponse:
        tree = await self._signer.create(
            tree_id=values.read_id(request.tree_id, "/tree_id"),
            chain=values.read_text(request.chain, "/chain"),
            network=values.read_word(request.network, Network, "/network"),
        )
        return pb.CreateResponse(tree=values.tree(tree))

    async def ListTrees(self, _request: pb.ListTreesRequest, _context: Any) -> pb.ListTreesResponse:
        return pb.ListTreesResponse(trees=map(values.tree, await self._signer.trees()))

    async def GetAddresses(self, request: pb.GetAddressesRequest, _context: Any) -> pb.GetAddressesResponse:
        found = await self._signer.addresses(
            tree_id=values.read_id(request.tree_id, "/tree_id"),
            purpose=values.read_word(request.purpose, Purpose, "/purpose"),
            first=request.first,
            count=request.count,
        )
        return pb.GetAddressesResponse(addresses=found)

    async def Sign(self, request: pb.SignRequest, _context: Any) -> pb.SignResponse:
        _check_counts(request)
        signed = await self._signer.sign(
            request_id=values.read_id(request.request_id, "/request_id"),
            tree_id=values.read_id(request.tree_id, "/tree_id"),
            payload=request.payload,
            places={
                values.read_text(address, "/places"): values.read_place(place, "/places")
                for address, place in request.places.items()
            },
            expected=Expected(
                payments=[
                    values.read_payment(payment, f"/expected_payments/{number}")
                    for number, payment in enumerate(request.expected_payments)
                ],
                fee_max=values.read_units(request.expected_fee_max, "/expected_fee_max"),
                to_warm=request.to_warm,
            ),
        )
        return pb.SignResponse(raw=signed.raw, chain_tx=signed.chain_tx)

    async def Claim(self, request: pb.ClaimRequest, _context: Any) -> pb.ClaimResponse:
        if len(request.places) > CLAIMS_MAX:
            raise MessageInvalid(f"There are more than {CLAIMS_MAX} places.", pointer="/places")
        found = await self._signer.claim(
            tree_id=values.read_id(request.tree_id, "/tree_id"),
            snapshot=values.read_id(request.snapshot, "/snapshot"),
            root=request.root,
            places={
                values.read_text(address, "/places"): values.read_place(place, "/places")
                for address, place in request.places.items()
            },
        )
        return pb.ClaimResponse(signatures=found)

    async def Export(self, request: pb.ExportRequest, _context: Any) -> pb.ExportResponse:
        package = await self._signer.export(
            request_id=values.read_id(request.request_id, "/request_id"),
            tree_id=values.read_id(request.tree_id, "/tree_id"),
            recipient=request.recipient,
        )
        return pb.ExportResponse(package=package)


def add(server: grpc.aio.Server, *, signer: SigningService) -> None:
    """Let the server serve the signer."""
    pb_grpc.add_SignerServiceServicer_to_server(Servicer(signer), server)  # type: ignore[no-untyped-call]


def _check_counts(request: pb.SignRequest) -> None:
    """Read no more than a transaction may have."""
    if len(request.places) > PLACES_MAX:
        raise MessageInvalid(f"There are more than {PLACES_MAX} places.", pointer="/places")
    if len(request.expected_payments) > PAYMENTS_MAX:
        raise MessageInvalid(f"There are more than {PAYMENTS_MAX} payments.", pointer="/expected_payments")
