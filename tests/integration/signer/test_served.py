"""The signer over gRPC: as the facade, for those whom its door lets in."""

import asyncio
import functools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from tempfile import TemporaryDirectory

import pytest

from billfold.chains.errors import PayloadRefused
from billfold.chains.port import Payment
from billfold.platform.keys import KeysUnavailable
from billfold.platform.rpc import addresses, serving
from billfold.platform.rpc.errors import ServiceUnavailable
from billfold.signer import Signer, errors, rpc
from billfold.signer.contracts import Expected
from tests import signers
from tests.signers import NEW_ID, Wallet

THERE = Payment(address="there", amount=2**200, token="gold", memo="text:hi")
TOKEN = "a token of sixteen letters"


@contextmanager
def socket() -> Iterator[addresses.Address]:
    with TemporaryDirectory() as folder:
        yield addresses.parse(f"unix:{folder}/signer.sock")


@asynccontextmanager
async def served(signer: Signer, address: addresses.Address, *, token: str = TOKEN) -> AsyncIterator[rpc.RemoteSigner]:
    add = functools.partial(rpc.add, signer=signer)
    door = serving.Door(address=address, token=TOKEN)
    async with (
        serving.serving(add, door=door, names=rpc.NAMES, stop=serving.Stop(), check=signer.check),
        rpc.connected(addresses=[address], tls=None, token=token, timeout_s=10) as remote,
    ):
        yield remote


@pytest.fixture
async def remote(signer: Signer) -> AsyncIterator[rpc.RemoteSigner]:
    with socket() as address:
        async with served(signer, address) as remote:
            yield remote


async def test_what_is_asked_over_grpc_is_answered_as_by_the_facade(signer: Signer, remote: rpc.RemoteSigner) -> None:
    await remote.check()
    tree = await remote.create(tree_id=NEW_ID(), chain="tiny", network="sandbox")
    assert await remote.create(tree_id=tree.id, chain="tiny", network="sandbox") == tree
    assert tree in await remote.trees()
    assert await remote.trees() == await signer.trees()
    far = await remote.addresses(tree_id=tree.id, purpose="deposit", first=2**31 - 2500, count=2500)
    assert far == await signer.addresses(tree_id=tree.id, purpose="deposit", first=2**31 - 2500, count=2500)
    local, wallet = (Wallet(asked, tree.id, "sandbox", "tiny") for asked in (signer, remote))
    request_id = NEW_ID()
    signed = await wallet.pay(THERE, request_id=request_id)
    assert await local.pay(THERE, request_id=request_id) == signed


async def test_refusals_come_through_with_their_codes(remote: rpc.RemoteSigner) -> None:
    tree = await remote.create(tree_id=NEW_ID(), chain="tiny", network="main")
    wallet = Wallet(remote, tree.id, "main", "tiny")
    with pytest.raises(errors.TreeDiffers):
        await remote.create(tree_id=tree.id, chain="tiny", network="sandbox")
    with pytest.raises(errors.ChainNotSigned):
        await remote.create(tree_id=NEW_ID(), chain="doge", network="main")
    with pytest.raises(errors.TreeNotFound):
        await remote.addresses(tree_id=NEW_ID(), purpose="hot", first=0, count=1)
    with pytest.raises(errors.RequestInvalid):
        await remote.addresses(tree_id=tree.id, purpose="hot", first=0, count=10_001)
    with pytest.raises(errors.PolicyMissing):
        await wallet.pay(THERE)
    with pytest.raises(errors.NotAsExpected):
        await wallet.pay(THERE, expected=Expected(payments=[], fee_max=10))
    with pytest.raises(PayloadRefused):
        await remote.sign(
            request_id=NEW_ID(),
            tree_id=tree.id,
            payload=b"{",
            places={"x": signers.HOT},
            expected=Expected(payments=[], fee_max=1),
        )
    with pytest.raises(errors.RequestInvalid):
        await remote.sign(
            request_id=NEW_ID(), tree_id=tree.id, payload=b"{", places={}, expected=Expected(payments=[], fee_max=1)
        )


async def test_who_does_not_know_the_token_is_not_let_in(signer: Signer) -> None:
    with socket() as address:
        async with served(signer, address, token="another of sixteen letters") as stranger:
            with pytest.raises(ServiceUnavailable):
                await stranger.trees()


async def test_keys_that_can_t_be_had_are_an_error_that_waits(database: signers.SignerDatabase, wallet: Wallet) -> None:
    with socket() as address:
        async with (
            signers.started(database.dsn, ring=signers.keyring(signers.Away())) as away,
            served(away, address) as remote,
        ):
            with pytest.raises(KeysUnavailable) as met:
                await Wallet(remote, wallet.id, "sandbox", "tiny").at("hot")
            assert met.value.retryable


async def test_many_requests_at_once_are_each_signed_once(remote: rpc.RemoteSigner) -> None:
    tree = await remote.create(tree_id=NEW_ID(), chain="tiny", network="sandbox")
    wallet = Wallet(remote, tree.id, "sandbox", "tiny")
    ids = [NEW_ID() for _ in range(30)]
    both = await asyncio.gather(*(wallet.pay(THERE, request_id=one) for one in (*ids, *ids)))
    assert both[:30] == both[30:]
    assert (await Wallet(remote, tree.id, "sandbox", "tiny").at("hot")) == await wallet.at("hot")
