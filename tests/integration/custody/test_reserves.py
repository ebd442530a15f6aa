"""Proofs of reserves: real books, real chains where they are asked, and a real signer behind its door."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from billfold.chains import claims
from billfold.chains.nodes import Nodes
from billfold.custody import Refuted, Showing, check_holder_proof, check_reserves, errors
from billfold.custody.contracts.reserves import Reserves, ReserveSnapshot
from billfold.custody.service import reserves
from billfold.custody.service.reserves import holders, owing
from billfold.custody.service.reserves.owing import no_wallets
from billfold.custody.store import reserves as store
from billfold.devnet.bitcoin import COOKIE
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.platform.rpc import addresses, serving
from billfold.platform.rpc.errors import ServiceUnavailable
from billfold.signer import Signer, rpc
from billfold.signer.service import chains as signed_chains
from billfold.wallets.errors import WalletUnknown
from tests import servers, signers
from tests.integration.custody.another_checker import by_another_checker
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import Bank
from tests.integration.custody.test_over_chains import DEADLINE_S, UNITS
from tests.integration.wallets.support import SCOPES

TOKEN = "a token of sixteen letters"


@pytest.fixture(scope="module")
def keys(postgres_server: servers.PostgresServer) -> signers.SignerDatabase:
    return signers.create_database(postgres_server)


@pytest.fixture
async def signer(keys: signers.SignerDatabase) -> AsyncIterator[Signer]:
    async with signers.started(keys.dsn, chains=signed_chains.of) as signer:
        yield signer


@asynccontextmanager
async def door(signer: Signer, folder: Path) -> AsyncIterator[rpc.RemoteSigner]:
    """The signer as another process asks it."""
    address = addresses.parse(f"unix:{folder}/s")
    add = functools.partial(rpc.add, signer=signer)
    inside = serving.Door(address=address, token=TOKEN)
    async with (
        serving.serving(add, door=inside, names=rpc.NAMES, stop=serving.Stop(), check=signer.check),
        rpc.connected(addresses=[address], tls=None, token=TOKEN, timeout_s=10) as remote,
    ):
        yield remote


@pytest.fixture
def bank(database: Database, ledger: Ledger, chain: SimulatedChain, signer: Signer) -> Bank:
    return Bank(database=database, ledger=ledger, chain=chain, signer=cast("Any", signer))


async def made(bank: Bank, *, assets: Sequence[str] | None = None) -> tuple[ReserveSnapshot, Reserves]:
    """A proof that is done, and what is published of it, as it is read from the file; it holds."""
    asked = await bank.custody.reserves.request(asked_by=ids.new(), assets=assets)
    assert await bank.custody.reserves.step()
    done = await bank.custody.reserves.snapshot(snapshot_id=asked.id)
    assert (done.status, done.reason) == ("done", "")
    text = msgspec.json.encode(await bank.custody.reserves.document(snapshot_id=asked.id))
    published = msgspec.json.decode(text, type=Reserves)
    check_reserves(published, is_signed=claims.is_signed)
    return done, published


async def proved(bank: Bank, published: Reserves, wallet: UUID) -> dict[str, int]:
    """What a wallet's own proof shows, which holds."""
    proof = await bank.custody.reserves.proof(wallet_id=wallet)
    check_holder_proof(proof, published)
    return {step.asset: int(step.amount) for step in proof.assets}


async def paid(bank: Bank, *amounts: int) -> list[UUID]:
    """Wallets with so much in each, paid in on the simulated chain."""
    wallets = []
    for amount in amounts:
        wallet, address = await bank.wallet()
        wallets.append(wallet)
        if amount:
            bank.chain.pay(address, amount)
    bank.chain.mine(3)
    await bank.read()
    return wallets


@pytest.fixture(params=["bitcoin", "ethereum", "solana", "stellar"])
def devnet(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """One of the chains of this machine's own, and its server."""
    return str(request.param), request.getfixturevalue(f"{request.param}_server")


@pytest.fixture
async def over_devnet(
    devnet: tuple[str, Any], database: Database, ledger: Ledger, signer: Signer, tmp_path: Path
) -> AsyncIterator[Bank]:
    name, server = devnet
    url = server.url
    if name == "bitcoin":
        url = url.replace("http://", f"http://{(server.folder / COOKIE).read_text()}@")
    chain = import_module(f"billfold.chains.{name}").open(Nodes(network="sandbox", urls=[url], timeout_s=30))
    showing = cast("Showing", import_module(f"billfold.chains.{name}.showing"))
    async with door(signer, tmp_path) as remote:
        yield Bank(database=database, ledger=ledger, chain=chain, signer=cast("Any", remote), showing=showing)
    await chain.close()


async def test_what_a_chain_holds_is_claimed_and_what_a_wallet_is_owed_is_in_it(
    over_devnet: Bank, devnet: tuple[str, Any]
) -> None:
    bank, (name, server) = over_devnet, devnet
    server.mine(3)
    wallet, address = await bank.wallet()
    (shown,) = await bank.custody.addresses.of_wallet(wallet_id=wallet)
    opening = 0
    if shown.memo is not None:
        # The shared account is the house's to open. What comes without a memo is somebody's, too.
        server.faucet(address, "10")
        opening = 10 * UNITS[name]
    await bank.read()
    server.faucet(address, "5", memo=None if shown.memo is None else f"id:{shown.memo}")
    server.mine(3)
    coin, owed = bank.chain.coin, 5 * UNITS[name]
    async with asyncio.timeout(DEADLINE_S):
        while await bank.balance(wallet, coin) != owed:
            await bank.read()
    _, published = await made(bank)
    assert await proved(bank, published, wallet) == {coin: owed}
    (told,) = published.assets
    assert (told.owed, told.below_zero) == (str(owed + opening), "0")
    assert int(told.held) >= owed + opening
    (part,) = published.chains
    assert (part.network, part.left_out) == ("sandbox", 0)
    assert address in {one.address for one in part.addresses}
    if name in {"solana", "stellar"}:
        proof = await bank.custody.reserves.proof(wallet_id=wallet)
        found = await asyncio.to_thread(by_another_checker, published, proof)
        signed = dict.fromkeys((one.address for one in part.addresses), True)
        assert found == {"root": True, "adds": True, "proofs": [True], "signatures": signed}


async def test_everybody_is_in_the_tree_with_a_proof_of_their_own(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (owing, holders):
        monkeypatch.setattr(module, "CHUNK", 4)
    monkeypatch.setattr(owing, "PAGE", 3)
    amounts = [1_000, 2_000, 0, 3_000, 4_000, 5_000, 6_000]
    wallets = await paid(bank, *amounts)
    done, published = await made(bank)
    (told,) = published.assets
    assert (told.owed, told.depth, told.held) == (str(sum(amounts)), 4, str(sum(amounts)))
    for wallet, amount in zip(wallets, amounts, strict=True):
        assert await proved(bank, published, wallet) == ({"BTC": amount} if amount else {})
    assert (done.root, done.assets) == (published.root, ["BTC"])
    proofs = [await bank.custody.reserves.proof(wallet_id=wallet) for wallet in wallets]
    assert by_another_checker(published, *proofs)["proofs"] == [True] * len(wallets)
    less = msgspec.structs.replace(proofs[0].assets[0], amount="999")
    assert by_another_checker(published, msgspec.structs.replace(proofs[0], assets=[less]))["proofs"] == [False]
    # What is published names no wallet.
    text = msgspec.json.encode(published).decode()
    assert not any(str(wallet) in text for wallet in wallets)


async def test_a_proof_is_of_its_instant_whatever_happens_meanwhile(bank: Bank, ada: Principal) -> None:
    rich, address = await bank.wallet(ada)
    poor, _ = await bank.wallet(ada)
    bank.chain.pay(address, 1_000)
    bank.chain.mine(3)
    await bank.read()
    asked = await bank.custody.reserves.request(asked_by=ids.new())
    await bank.pay_on(ada, rich, poor, "0.00000400")
    await bank.custody.reserves.step()
    published = await bank.custody.reserves.document(snapshot_id=asked.id)
    assert (await proved(bank, published, rich), await proved(bank, published, poor)) == ({"BTC": 1_000}, {})
    _, later = await made(bank)
    assert (await proved(bank, later, rich), await proved(bank, later, poor)) == ({"BTC": 600}, {"BTC": 400})
    old = await bank.custody.reserves.proof(wallet_id=rich, snapshot_id=asked.id)
    check_holder_proof(old, published)
    with pytest.raises(Refuted):
        check_holder_proof(old, later)


async def test_a_wallet_below_zero_takes_nothing_from_what_is_owed_to_the_others(bank: Bank, ada: Principal) -> None:
    rich, address = await bank.wallet(ada)
    owing_wallet, _ = await bank.wallet(ada)
    bank.chain.pay(address, 1_000)
    bank.chain.mine(3)
    await bank.read()
    await bank.pay_on(ada, rich, owing_wallet, "0.00000001")
    async with bank.database.connection() as connection:
        account = await connection.fetchval(
            "SELECT account_id FROM wallets.accounts WHERE wallet_id = $1", owing_wallet
        )
    await bank.ledger.set_floor(account_id=account, floor=None)
    await bank.pay_on(ada, owing_wallet, rich, "0.00000301")
    _, published = await made(bank)
    (told,) = published.assets
    assert (told.owed, told.below_zero, told.held) == ("1300", "300", "1000")
    assert list(check_reserves(published, is_signed=claims.is_signed).short) == ["BTC"]
    assert await proved(bank, published, owing_wallet) == {}
    assert await proved(bank, published, rich) == {"BTC": 1_300}


async def test_a_tree_that_leaves_wallets_out_is_never_published(bank: Bank) -> None:
    await paid(bank, 1_000)
    bank.custody.reserves._owing._wallet_pages = no_wallets
    asked = await bank.custody.reserves.request(asked_by=ids.new())
    await bank.custody.reserves.step()
    found = await bank.custody.reserves.snapshot(snapshot_id=asked.id)
    assert found.status == "failed"
    assert found.reason.startswith("reserves_incomplete: The wallets have 1000 BTC more")
    with pytest.raises(errors.ReservesUnknown):
        await bank.custody.reserves.document(snapshot_id=asked.id)


class Away:
    """A signer that does not answer."""

    async def claim(self, **_: Any) -> Any:
        raise ServiceUnavailable


class Forging:
    """One that answers with signatures of nothing."""

    async def claim(self, *, places: Mapping[str, Any], **_: Any) -> Mapping[str, str]:
        return dict.fromkeys(places, "AAAA")


async def test_a_signer_that_is_away_is_waited_for_and_nothing_is_done_twice(bank: Bank, signer: Signer) -> None:
    (wallet,) = await paid(bank, 1_000)
    holding = cast("Any", bank.custody.reserves._holding)
    holding._signer = Away()
    asked = await bank.custody.reserves.request(asked_by=ids.new())
    with pytest.raises(errors.ReservesPending):
        await bank.custody.reserves.request(asked_by=ids.new())
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            await bank.custody.reserves.step()
    waits = await bank.custody.reserves.snapshot(snapshot_id=asked.id)
    assert (waits.status, waits.reason.partition(":")[0]) == ("requested", ServiceUnavailable.code)
    holding._signer = signer
    assert await bank.custody.reserves.step()
    published = await bank.custody.reserves.document(snapshot_id=asked.id)
    assert await proved(bank, published, wallet) == {"BTC": 1_000}
    assert not await bank.custody.reserves.step()


async def test_what_is_away_for_too_long_is_not_waited_for(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    await paid(bank, 1_000)
    cast("Any", bank.custody.reserves._holding)._signer = Away()
    monkeypatch.setattr(reserves, "WAITS_MAX", timedelta())
    asked = await bank.custody.reserves.request(asked_by=ids.new())
    assert await bank.custody.reserves.step()
    assert (await bank.custody.reserves.snapshot(snapshot_id=asked.id)).status == "failed"
    # Another one may be asked for.
    assert await bank.custody.reserves.request(asked_by=ids.new())


async def test_a_signer_that_signs_something_else_has_nothing_published(bank: Bank) -> None:
    await paid(bank, 1_000)
    cast("Any", bank.custody.reserves._holding)._signer = Forging()
    asked = await bank.custody.reserves.request(asked_by=ids.new())
    await bank.custody.reserves.step()
    found = await bank.custody.reserves.snapshot(snapshot_id=asked.id)
    assert (found.status, found.root) == ("failed", None)
    assert "signature" in found.reason


async def test_a_process_that_dies_in_the_middle_leaves_no_trace_in_the_tree(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    wallets = await paid(bank, 1_000, 2_000)
    asked = await bank.custody.reserves.request(asked_by=ids.new())
    with monkeypatch.context() as dying:
        dying.setattr(store, "add_tree", _dies)
        with pytest.raises(KeyboardInterrupt):
            await bank.custody.reserves.step()
    await bank.custody.reserves.step()
    published = await bank.custody.reserves.document(snapshot_id=asked.id)
    assert [await proved(bank, published, wallet) for wallet in wallets] == [{"BTC": 1_000}, {"BTC": 2_000}]


async def _dies(*_: Any) -> None:
    raise KeyboardInterrupt


async def test_old_proofs_stay_published_and_their_leaves_go(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserves, "KEPT_MAX", 1)
    (wallet,) = await paid(bank, 1_000)
    first, published = await made(bank)
    await made(bank)
    with pytest.raises(errors.ReservesUnknown):
        await bank.custody.reserves.proof(wallet_id=wallet, snapshot_id=first.id)
    assert await bank.custody.reserves.document(snapshot_id=first.id) == published
    async with bank.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM custody.reserve_leaves") == 16


async def test_nobody_gets_the_proof_of_anothers_wallet(bank: Bank, ada: Principal) -> None:
    mine, _ = await bank.wallet(ada)
    stranger = Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=SCOPES)
    proofs = bank.wallets.on_chains
    with pytest.raises(errors.ReservesUnknown):
        await proofs.reserve_proof(principal=ada, wallet_id=mine, snapshot_id=None)
    await bank.read()
    await made(bank)
    assert (await proofs.reserve_proof(principal=ada, wallet_id=mine, snapshot_id=None)).holder == mine
    with pytest.raises(WalletUnknown):
        await proofs.reserve_proof(principal=stranger, wallet_id=mine, snapshot_id=None)


async def test_only_assets_of_chains_that_are_served_are_proved(bank: Bank) -> None:
    for assets in (["USD"], ["ETH"], ["NONE"], ["BTC", "USD"], []):
        with pytest.raises(errors.AssetNotOnChain):
            await bank.custody.reserves.request(asked_by=ids.new(), assets=assets)
    with pytest.raises(errors.ReservesUnknown):
        await bank.custody.reserves.snapshot(snapshot_id=ids.new())


async def test_money_for_nobody_known_is_owed_too(database: Database, ledger: Ledger, signer: Signer) -> None:
    chain = _Stellar()
    showing = cast("Showing", import_module("billfold.chains.stellar.showing"))
    bank = Bank(database=database, ledger=ledger, chain=chain, signer=cast("Any", signer), showing=showing)
    wallet, address = await bank.wallet()
    (shown,) = await bank.custody.addresses.of_wallet(wallet_id=wallet)
    chain.pay(address, 1_000, memo=f"id:{shown.memo}")
    chain.pay(address, 300, memo="id:99999")
    chain.holds[address] = 1_300
    chain.mine(3)
    await bank.read()
    _, published = await made(bank)
    assert [(one.owed, one.held) for one in published.assets] == [("1300", "1300")]
    assert await proved(bank, published, wallet) == {"XLM": 1_000}


class _Stellar(SimulatedChain):
    """One whose addresses are shared, and which says what they hold."""

    def __init__(self) -> None:
        super().__init__(name="stellar", coin="XLM", model="nonce")
        self.holds: dict[str, int] = {}

    async def balance(self, address: str, *, token: str | None, height: int) -> int:
        assert (token, height) == (None, self.state.blocks[-1].height)
        return self.holds.get(address, 0)
