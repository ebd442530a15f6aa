import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.chains import errors
from billfold.chains.bitcoin import building, selecting, signing, sizes, transactions
from billfold.chains.bitcoin import psbt as psbts
from billfold.chains.bitcoin.chain import Bitcoin
from billfold.chains.bitcoin.transactions import Input, Output, Transaction
from billfold.chains.nodes import Nodes
from billfold.chains.port import Allocation, Coin, Payment, Rate, Unsigned
from billfold.signer.contracts import PAYLOAD_MAX_BYTES

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
OTHER = "bcrt1qnd2r2ud9n0z0ejnmp2dt5z42tlgy2qkna57t6x"
SCRIPT = bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")


#: Nobody is asked.
CHAIN = Bitcoin(Nodes(network="sandbox", urls=["http://127.0.0.1:1/"]))
PARENTS: dict[str, Transaction] = {}


def coin(number: int, amount: int) -> Coin:
    made = transactions.write(inputs=[Input(f"{number:064x}", 0)], outputs=[Output(amount, SCRIPT)])
    PARENTS[made.txid] = made
    return Coin(chain_tx=made.txid, index="0", address=ADDRESS, amount=amount)


def test_many_small_coins_of_an_exchanges_payments_to_many_are_merged() -> None:
    outputs = [Output(600, SCRIPT)] * 2_800
    many = transactions.write(inputs=[Input("ab" * 32, 0)], outputs=outputs)
    assert len(many.raw) > 80_000
    assert psbts.BYTES_MAX <= PAYLOAD_MAX_BYTES
    coins = [Coin(chain_tx=many.txid, index=str(place), address=ADDRESS, amount=600) for place in range(20)]
    allocation = Allocation(source=ADDRESS, coins=coins, change=ADDRESS)
    rate = Rate(numbers={"sat_per_kvb": 1_000})
    made = building.build([], allocation, parents={many.txid: many}, rate=rate, network="sandbox")
    assert psbts.read(made.payload).transaction.outputs[0].value == 20 * 600 - made.fee_max


def build(payments: list[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
    return building.build(payments, allocation, parents=PARENTS, rate=rate, network="sandbox")


def rate(number: int) -> Rate:
    return Rate(numbers={"sat_per_kvb": number})


def test_coins_that_leave_nothing_over_are_found() -> None:
    fee = sizes.fee_for(1000, sizes.vsize(2, [SCRIPT]))
    coins = [coin(1, 500_000), coin(2, 70_000), coin(3, 30_000 + fee), coin(4, 9_000)]

    chosen = selecting.chosen(coins, amount=100_000, scripts=[SCRIPT], rate=1000)

    assert {each.amount for each in chosen} == {70_000, 30_000 + fee}


def test_few_large_coins_are_taken_where_something_is_left_over() -> None:
    coins = [coin(number, 10_000 * number) for number in range(1, 20)]

    chosen = selecting.chosen(coins, amount=195_555, scripts=[SCRIPT], rate=1000)

    assert [each.amount for each in chosen] == [190_000, 180_000]


def test_coins_that_cost_more_than_they_are_worth_are_left_alone() -> None:
    dust = [coin(number, 300) for number in range(100)]

    assert [
        each.amount for each in selecting.chosen([*dust, coin(200, 50_000)], amount=10_000, scripts=[SCRIPT], rate=5000)
    ] == [50_000]
    with pytest.raises(errors.FundsShort):
        selecting.chosen(dust, amount=1_000, scripts=[SCRIPT], rate=5000)


@given(
    amounts=st.lists(st.integers(300, 5_000_000), min_size=1, max_size=40),
    wanted=st.integers(600, 20_000_000),
    number=st.integers(1_000, 200_000),
)
def test_what_is_chosen_can_be_built_and_nothing_is_lost(amounts: list[int], wanted: int, number: int) -> None:
    coins = [coin(at, amount) for at, amount in enumerate(amounts)]
    payments = [Payment(address=OTHER, amount=wanted)]
    try:
        chosen = building.choose(coins, payments, rate=rate(number), network="sandbox")
    except errors.FundsShort:
        cost = sizes.fee_for(number, sizes.INPUT_VSIZE)
        assert sum(max(0, each - cost) for each in amounts) < wanted + sizes.fee_for(number, sizes.vsize(0, [SCRIPT]))
        return
    allocation = Allocation(source=ADDRESS, coins=chosen, change=ADDRESS)
    unsigned = build(payments, allocation, rate=rate(number))
    shown = signing.read(unsigned.payload, network="sandbox")

    assert sum(each.amount for each in shown.payments) + shown.fee_max == sum(each.amount for each in chosen)
    assert shown.fee_max == unsigned.fee_max
    size = sizes.vsize(len(chosen), [SCRIPT] * len(shown.payments))
    assert sizes.fee_for(number, size) <= shown.fee_max
    # At most the change that was not worth having went to the fee.
    assert shown.fee_max <= sizes.fee_for(number, size + sizes.CHANGE_VSIZE) + max(
        sizes.dust(SCRIPT), sizes.fee_for(number, sizes.INPUT_VSIZE)
    )
    assert build(payments, allocation, rate=rate(number)) == unsigned


def test_change_that_would_be_dust_goes_to_the_fee() -> None:
    fee = sizes.fee_for(1000, sizes.vsize(1, [SCRIPT, SCRIPT]))
    allocation = Allocation(source=ADDRESS, coins=[coin(1, 50_000 + fee + 293)], change=ADDRESS)

    unsigned = build([Payment(address=OTHER, amount=50_000)], allocation, rate=rate(1000))

    assert [each.amount for each in signing.read(unsigned.payload, network="sandbox").payments] == [50_000]
    assert unsigned.fee_max == fee + 293


def test_a_rate_below_what_nodes_pass_on_is_raised_to_it() -> None:
    allocation = Allocation(source=ADDRESS, coins=[coin(1, 50_000)], change=ADDRESS)

    unsigned = build([Payment(address=OTHER, amount=10_000)], allocation, rate=rate(1))

    assert unsigned.fee_max == sizes.fee_for(1000, sizes.vsize(1, [SCRIPT, SCRIPT]))


def test_a_payment_is_called_off_by_paying_the_change_alone() -> None:
    allocation = Allocation(source=ADDRESS, coins=[coin(1, 50_000)], change=ADDRESS)

    shown = signing.read(build([], allocation, rate=rate(2000)).payload, network="sandbox")

    assert shown.kind == "cancel"
    assert [each.address for each in shown.payments] == [ADDRESS]


@pytest.mark.parametrize(
    ("payment", "said"),
    [
        (Payment(address=OTHER, amount=293), "below 294"),
        (Payment(address=OTHER, amount=21_000_000 * 10**8 + 1), "not so many"),
        (Payment(address=OTHER, amount=1000, token="USDT"), "no tokens"),
        (Payment(address=OTHER, amount=1000, memo="id:1"), "no memo"),
    ],
)
def test_what_bitcoin_can_not_pay_is_refused(payment: Payment, said: str) -> None:
    allocation = Allocation(source=ADDRESS, coins=[coin(1, 50_000)], change=ADDRESS)
    with pytest.raises(errors.PaymentInvalid, match=said):
        build([payment], allocation, rate=rate(1000))


def test_coins_that_do_not_cover_the_fee_are_not_built_with() -> None:
    allocation = Allocation(source=ADDRESS, coins=[coin(1, 10_050)], change=ADDRESS)
    with pytest.raises(errors.FundsShort):
        build([Payment(address=OTHER, amount=10_000)], allocation, rate=rate(1000))


def test_an_unsigned_transaction_is_a_psbt_that_signals_replacement() -> None:
    allocation = Allocation(source=ADDRESS, coins=[coin(2, 50_000), coin(1, 50_000)], change=ADDRESS)
    built = build([Payment(address=OTHER, amount=60_000)], allocation, rate=rate(1000))

    transaction = psbts.read(built.payload).transaction

    assert [each.sequence for each in transaction.inputs] == [0xFFFFFFFD] * 2
    assert [each.txid for each in transaction.inputs] == sorted(each.txid for each in transaction.inputs)


def test_a_coin_that_is_another_than_was_said_is_not_built_with() -> None:
    true = coin(1, 50_000)
    false = Coin(chain_tx=true.chain_tx, index="0", address=ADDRESS, amount=60_000)
    for wrong in (false, Coin(chain_tx=true.chain_tx, index="1", address=ADDRESS, amount=50_000)):
        with pytest.raises(errors.PaymentInvalid, match="another than was said"):
            build([], Allocation(source=ADDRESS, coins=[wrong], change=ADDRESS), rate=rate(1000))


@given(
    amounts=st.lists(st.integers(5_000, 5_000_000), min_size=1, max_size=20),
    wanted=st.integers(600, 2_000_000),
    number=st.integers(1_000, 50_000),
)
async def test_what_few_coins_pay_costs_no_more_than_was_estimated(
    amounts: list[int], wanted: int, number: int
) -> None:
    coins, payments = [coin(at, amount) for at, amount in enumerate(amounts)], [Payment(address=OTHER, amount=wanted)]
    try:
        chosen = building.choose(coins, payments, rate=rate(number), network="sandbox")
    except errors.FundsShort:
        return
    unsigned = build(payments, Allocation(source=ADDRESS, coins=chosen, change=ADDRESS), rate=rate(number))
    estimated = await CHAIN.estimate(payments, source=ADDRESS, rate=rate(number))

    assert len(chosen) > sizes.INPUTS_FEW or unsigned.fee_max <= estimated
