"""What the adapter of Stellar makes of ledgers: what has arrived, for whom, and by which memo."""

from __future__ import annotations

import pytest
from stellar_sdk import (
    AccountMerge,
    Asset,
    ChangeTrust,
    CreateAccount,
    HashMemo,
    IdMemo,
    Keypair,
    ManageSellOffer,
    Memo,
    MuxedAccount,
    PathPaymentStrictReceive,
    PathPaymentStrictSend,
    Payment,
    Price,
    ReturnHashMemo,
    TextMemo,
)

from billfold.chains import errors, port
from billfold.chains.port import Movement
from tests.integration.chains.stellar.net import XLM, House, Net, arrived


async def test_a_node_of_this_network_passes_and_one_of_another_does_not(net: Net, chain: port.Chain) -> None:
    await chain.check()
    other = Net(net.url, net.devnet, "main")
    with pytest.raises(errors.NodeWrong, match="another network"):
        await other.chain().check()
    await other.close()


async def test_ledgers_follow_each_other_by_their_hashes(net: Net, chain: port.Chain) -> None:
    height = await net.next_ledger()
    block, before = await chain.block(height), await chain.block(height - 1)
    assert block is not None
    assert before is not None
    assert block.parent == before.hash
    head = await chain.head()
    assert head.height >= height
    assert await chain.block(head.height + 1000) is None
    assert list(await chain.pending()) == []


@pytest.mark.parametrize(
    ("memo", "told"),
    [
        (None, None),
        (TextMemo("für dich"), "text:für dich"),
        (IdMemo(2**64 - 1), f"id:{2**64 - 1}"),
        (HashMemo(b"\x01" * 32), "hash:" + "01" * 32),
        (ReturnHashMemo(b"\xfe" * 32), "return:" + "fe" * 32),
    ],
)
async def test_a_payment_is_told_with_its_memo(
    net: Net, house: House, sender: Keypair, memo: Memo | None, told: str | None
) -> None:
    name, ledger = await net.send(sender, Payment(house.hot, Asset.native(), "1.5"), memo=memo)
    assert arrived(await net.chain().block(ledger), house.hot) == [
        Movement(
            chain_tx=name,
            index="0",
            address=house.hot,
            token=None,
            amount=15_000_000,
            memo=told,
            sender=sender.public_key,
        )
    ]


async def test_the_number_in_an_address_counts_before_the_memo(
    net: Net, chain: port.Chain, house: House, sender: Keypair
) -> None:
    muxed = MuxedAccount(house.hot, 77)
    _, ledger = await net.send(
        sender,
        Payment(muxed, Asset.native(), "1"),
        Payment(house.hot, Asset.native(), "2"),
        memo=TextMemo("of all"),
    )
    found = arrived(await chain.block(ledger), house.hot)
    assert [(each.index, each.amount, each.memo) for each in found] == [
        ("0", XLM, "id:77"),
        ("1", 2 * XLM, "text:of all"),
    ]


async def test_new_and_merged_accounts_bring_what_they_bring(net: Net, chain: port.Chain, sender: Keypair) -> None:
    ours, merged = Keypair.random(), await net.funded()
    _, ledger = await net.send(sender, CreateAccount(ours.public_key, "3.25"), memo=IdMemo(5))
    [opened] = arrived(await chain.block(ledger), ours.public_key)
    assert (opened.amount, opened.memo, opened.sender) == (32_500_000, "id:5", sender.public_key)
    _, ledger = await net.send(
        sender,
        Payment(ours.public_key, Asset.native(), "1"),
        AccountMerge(MuxedAccount(ours.public_key, 9), source=merged.public_key),
        others=[merged],
    )
    found = arrived(await chain.block(ledger), ours.public_key)
    assert [(each.index, each.amount, each.memo) for each in found] == [
        ("0", XLM, None),
        ("1", 10_000 * XLM, "id:9"),
    ]


async def test_only_the_amount_that_arrives_by_a_path_counts(net: Net, house: House, sender: Keypair) -> None:
    maker, issuer = await net.funded(), await net.funded()
    token = await net.issued(issuer, maker, "1000")
    asset = Asset("TEST", issuer.public_key)
    ours = await net.funded()
    await net.send(ours, ChangeTrust(asset))
    await net.send(maker, ManageSellOffer(asset, Asset.native(), "500", Price(2, 1)))
    chain = net.chain(token)
    _, ledger = await net.send(
        sender,
        PathPaymentStrictSend(ours.public_key, Asset.native(), "21", asset, "10", []),
        PathPaymentStrictReceive(ours.public_key, Asset.native(), "9", asset, "4", []),
        memo=IdMemo(3),
    )
    found = arrived(await chain.block(ledger), ours.public_key)
    assert [(each.index, each.token, each.amount, each.memo) for each in found] == [
        ("0", token, 105_000_000, "id:3"),
        ("1", token, 4 * XLM, "id:3"),
    ]
    assert await chain.balance(ours.public_key, token=token, height=ledger) == 145_000_000


async def test_a_token_that_is_not_on_the_list_does_not_count(net: Net, chain: port.Chain) -> None:
    ours, issuer = await net.funded(), await net.funded()
    # An asset may have any code, that of lumens too.
    false = Asset("XLM", issuer.public_key)
    _, ledger = await net.send(
        ours, ChangeTrust(false), Payment(ours.public_key, false, "9", source=issuer.public_key), others=[issuer]
    )
    assert arrived(await chain.block(ledger), ours.public_key) == []


async def test_what_has_failed_or_went_to_its_sender_brings_nothing(
    net: Net, chain: port.Chain, house: House, sender: Keypair
) -> None:
    ours = Payment(house.hot, Asset.native(), "1")
    envelope = await net.envelope(sender, ours, Payment(house.hot, Asset.native(), "90000"))
    await net.hand_in(envelope)
    failed = await net.settled(envelope.hash_hex())
    assert not failed["successful"]
    assert arrived(await chain.block(failed["ledger"]), house.hot) == []
    _, ledger = await net.send(sender, Payment(sender.public_key, Asset.native(), "7"))
    assert arrived(await chain.block(ledger), sender.public_key) == []
