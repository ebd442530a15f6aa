"""Trees are made once, and a request is signed once, whatever happens."""

import asyncio

import msgspec
import pytest

from billfold.chains.errors import PayloadRefused
from billfold.chains.port import Payment, Signed
from billfold.chains.signing_port import Place
from billfold.platform.keys import Keyring, KeysUnavailable, local
from billfold.signer import Signer, errors
from billfold.signer.contracts import Expected
from tests import master_keys, signers
from tests.signers import NEW_ID, Wallet

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
THERE = Payment(address="there", amount=500)
CHANGE = Place(purpose="change", index=3)


async def test_a_tree_is_made_once_and_its_addresses_stay(signer: Signer) -> None:
    tree_id = NEW_ID()
    tree = await signer.create(tree_id=tree_id, chain="tiny", network="sandbox")
    assert await signer.create(tree_id=tree_id, chain="tiny", network="sandbox") == tree
    assert tree in await signer.trees()
    many = await signer.addresses(tree_id=tree_id, purpose="deposit", first=0, count=20)
    assert await signer.addresses(tree_id=tree_id, purpose="deposit", first=5, count=10) == many[5:15]
    assert await Wallet(signer, tree_id, "sandbox", "tiny").decisions() == ["created"]


async def test_an_id_of_a_tree_is_good_for_one_tree(signer: Signer) -> None:
    tree_id = NEW_ID()
    await signer.create(tree_id=tree_id, chain="tiny", network="sandbox")
    with pytest.raises(errors.TreeDiffers):
        await signer.create(tree_id=tree_id, chain="tiny", network="main")
    with pytest.raises(errors.TreeDiffers):
        await signer.import_mnemonic(tree_id=tree_id, chain="tiny", network="sandbox", mnemonic=WORDS)
    with pytest.raises(errors.ChainNotSigned):
        await signer.create(tree_id=NEW_ID(), chain="dogecoin", network="main")


async def test_two_who_make_the_same_tree_at_once_get_the_same(signer: Signer) -> None:
    tree_id = NEW_ID()
    made = await asyncio.gather(
        *(signer.create(tree_id=tree_id, chain="tiny", network="sandbox") for _ in range(4)),
    )
    assert len({tree.public for tree in made}) == 1


async def test_the_same_words_make_the_same_addresses_under_another_id(signer: Signer) -> None:
    found = []
    for _ in range(2):
        tree = await signer.import_mnemonic(tree_id=NEW_ID(), chain="tiny", network="test", mnemonic=WORDS)
        found.append(await signer.addresses(tree_id=tree.id, purpose="hot", first=0, count=2))
    assert found[0] == found[1]


async def test_a_repeated_request_gets_the_same_signature_and_is_logged_once(wallet: Wallet) -> None:
    request_id = NEW_ID()
    first = await wallet.pay(THERE, request_id=request_id)
    assert await wallet.pay(THERE, request_id=request_id) == first
    again = await asyncio.gather(*(wallet.pay(THERE, request_id=request_id) for _ in range(5)))
    assert again == [first] * 5
    assert await wallet.decisions() == ["created", "signed"]


async def test_the_same_request_at_once_is_signed_once(wallet: Wallet) -> None:
    request_id = NEW_ID()
    made = await asyncio.gather(*(wallet.pay(THERE, request_id=request_id) for _ in range(8)))
    assert made == [made[0]] * 8
    assert await wallet.decisions() == ["created", "signed"]


async def test_another_transaction_under_the_same_request_is_refused(wallet: Wallet) -> None:
    request_id = NEW_ID()
    await wallet.pay(THERE, request_id=request_id)
    for _ in range(2):
        with pytest.raises(errors.RequestDiffers):
            await wallet.pay(Payment(address="elsewhere", amount=500), request_id=request_id)
    # That it was tried stands in the log, once.
    assert await wallet.decisions() == ["created", "signed", "refused"]


async def test_the_answer_survives_the_process(database: signers.SignerDatabase, wallet: Wallet) -> None:
    request_id = NEW_ID()
    first = await wallet.pay(THERE, request_id=request_id)
    async with signers.started(database.dsn) as restarted:
        again = Wallet(restarted, wallet.id, "sandbox", "tiny")
        assert await again.pay(THERE, request_id=request_id) == first


@pytest.mark.parametrize(
    "expected",
    [
        Expected(payments=[], fee_max=10),
        Expected(payments=[Payment(address="there", amount=499)], fee_max=10),
        Expected(payments=[Payment(address="thers", amount=500)], fee_max=10),
        Expected(payments=[Payment(address="there", amount=500, memo="text:hi")], fee_max=10),
        Expected(payments=[Payment(address="there", amount=500, token="gold")], fee_max=10),
        Expected(payments=[THERE, THERE], fee_max=10),
        Expected(payments=[THERE], fee_max=9),
    ],
)
async def test_a_transaction_that_does_something_else_than_expected_is_not_signed(
    wallet: Wallet, expected: Expected
) -> None:
    with pytest.raises(errors.NotAsExpected):
        await wallet.pay(THERE, expected=expected)
    assert await wallet.decisions() == ["created", "refused"]


async def test_what_is_left_over_may_go_to_the_tree_itself(wallet: Wallet) -> None:
    change = Payment(address=await wallet.at("change", 3), amount=99)
    expected = Expected(payments=[THERE], fee_max=10)
    assert isinstance(await wallet.pay(THERE, change, expected=expected, own=(CHANGE,)), Signed)
    with pytest.raises(errors.NotAsExpected):
        await wallet.pay(THERE, change, expected=expected)


async def test_an_address_of_somebody_else_is_not_taken_for_change(wallet: Wallet) -> None:
    hot = await wallet.at("hot")
    with pytest.raises(errors.NotAsExpected, match="another address"):
        await wallet.signer.sign(
            request_id=NEW_ID(),
            tree_id=wallet.id,
            payload=wallet.payload(hot, Payment(address="thief", amount=9_000)),
            places={hot: Place(purpose="hot", index=0), "thief": CHANGE},
            expected=Expected(payments=[], fee_max=10),
        )


async def test_what_is_not_understood_is_not_signed(wallet: Wallet) -> None:
    hot = await wallet.at("hot")
    wrong_network = wallet.payload(hot, THERE).replace(b"sandbox", b"main")
    for payload in (b"\x00" * 32, wallet.payload(hot, THERE) + b"!", wrong_network):
        with pytest.raises(PayloadRefused):
            await wallet.signer.sign(
                request_id=NEW_ID(),
                tree_id=wallet.id,
                payload=payload,
                places={hot: Place(purpose="hot", index=0)},
                expected=Expected(payments=[THERE], fee_max=10),
            )
    assert await wallet.decisions() == ["created", "refused", "refused", "refused"]


async def test_a_defect_in_a_chain_s_code_refuses_one_request_and_tells_nothing(wallet: Wallet) -> None:
    outcomes = await asyncio.gather(
        wallet.pay(THERE), wallet.pay(THERE, fee=-1), wallet.pay(THERE), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Signed, errors.RequestInvalid, Signed]
    with pytest.raises(errors.ChainFailed) as failed:
        await wallet.pay(THERE, fee=-1, expected=Expected(payments=[THERE], fee_max=10))
    assert "defect" not in str(failed.value)


async def test_keys_that_can_t_be_had_make_a_request_wait_and_count_nothing(
    database: signers.SignerDatabase, wallet: Wallet
) -> None:
    request_id = NEW_ID()
    before = await wallet.pay(THERE, request_id=request_id)
    hot = await wallet.at("hot")
    payload, places = wallet.payload(hot, THERE), {hot: signers.HOT}
    away = signers.keyring(signers.Away())
    async with signers.started(database.dsn, ring=away) as signer:
        expected = Expected(payments=[THERE], fee_max=10)
        with pytest.raises(KeysUnavailable):
            await signer.sign(request_id=NEW_ID(), tree_id=wallet.id, payload=payload, places=places, expected=expected)
        with pytest.raises(KeysUnavailable):
            await signer.create(tree_id=NEW_ID(), chain="tiny", network="sandbox")
        # What was signed is known without any key.
        again = await signer.sign(
            request_id=request_id, tree_id=wallet.id, payload=payload, places=places, expected=expected
        )
        assert again == before
        assert await wallet.decisions() == ["created", "signed"]


async def test_rotated_keys_seal_every_seed_anew_while_signing_goes_on(
    own_database: signers.SignerDatabase, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = master_keys.file_in(tmp_path_factory.mktemp("rotated"))
    ring = Keyring({"local": local.load(file)}, sealing="local")
    async with signers.started(own_database.dsn, ring=ring) as signer:
        wallets = [await Wallet.made(signer) for _ in range(3)]
    local.add(file)
    ring = Keyring({"local": local.load(file)}, sealing="local")
    async with signers.started(own_database.dsn, ring=ring) as signer:
        broken_off = signer.rewrap()
        assert [await anext(broken_off), await anext(broken_off)] == [(0, 3), (1, 3)]
        await broken_off.aclose()
        for wallet in wallets:
            assert await Wallet(signer, wallet.id, "sandbox", "tiny").pay(THERE)
        assert [step async for step in signer.rewrap()] == [(0, 2), (1, 2), (2, 2)]
        assert [step async for step in signer.rewrap()] == [(0, 0)]
        for wallet in wallets:
            assert (await Wallet(signer, wallet.id, "sandbox", "tiny").decisions()).count("rewrapped") == 1
    newest_only = file.read_text().splitlines()[-1]
    file.write_text(newest_only + "\n")
    async with signers.started(own_database.dsn, ring=Keyring({"local": local.load(file)}, sealing="local")) as signer:
        for wallet in wallets:
            assert await Wallet(signer, wallet.id, "sandbox", "tiny").pay(THERE)


async def test_the_log_tells_what_was_signed_and_a_changed_line_is_found(own_database: signers.SignerDatabase) -> None:
    async with signers.started(own_database.dsn) as signer:
        await check_log(own_database, signer, await Wallet.made(signer))


async def check_log(own_database: signers.SignerDatabase, signer: Signer, wallet: Wallet) -> None:
    signed = await wallet.pay(Payment(address="there", amount=2**70, token="gold", memo="text:hi"))
    with pytest.raises(errors.NotAsExpected):
        await wallet.pay(THERE, expected=Expected(payments=[], fee_max=10))
    said = [msgspec.json.decode(line.content) for line in await signer.log()]
    assert said[1]["chain_tx"] == signed.chain_tx
    assert said[1]["payments"] == [{"address": "there", "amount": str(2**70), "token": "gold", "memo": "text:hi"}]
    assert (said[1]["fee_max"], said[1]["chain"], said[1]["sources"]) == ("10", "tiny", [await wallet.at("hot")])
    assert said[2]["code"] == "not_as_expected"
    count, _ = await signer.verify_log()
    assert count == 3
    await signers.as_owner(
        own_database,
        "ALTER TABLE signer.log DISABLE TRIGGER only_added_to; "
        "UPDATE signer.log SET content = replace(encode(content, 'escape'), 'there', 'where')::bytea "
        "WHERE position = 1",
    )
    with pytest.raises(errors.LogBroken):
        await signer.verify_log()
