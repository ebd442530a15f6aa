"""The arithmetic of what lies ready: bands, what is above them, and what is missing."""

from uuid import UUID

import pytest

from billfold.chains.port import Movement
from billfold.custody.contracts.treasury import Band
from billfold.custody.domain import matching, treasury
from billfold.custody.domain.matching import Ours, Warm
from billfold.custody.domain.treasury import Levels, Ready

LEVELS = Levels(low=100, target=200, high=400)


def ready(free: int, *, spendable: int | None = None, coming: int = 0, waiting: int = 0) -> Ready:
    return Ready(free=free, spendable=free if spendable is None else spendable, coming=coming, waiting=waiting)


@pytest.mark.parametrize(
    ("texts", "units"),
    [(("0.5", "1", "2"), (50, 100, 200)), (("5%", "12.34%", "100%"), (50, 123, 1_000)), (("0", "0", "1"), (0, 0, 100))],
)
def test_a_band_is_amounts_or_parts_of_all_that_is_held(texts: tuple[str, ...], units: tuple[int, ...]) -> None:
    low, target, high = texts
    levels = treasury.levels_of(Band(low=low, target=target, high=high), scale=2, total=1_000)
    assert (levels.low, levels.target, levels.high) == units


@pytest.mark.parametrize(
    "texts",
    [("2", "1", "3"), ("1", "3", "2"), ("5%", "1", "2"), ("0", "0", "0"), ("1.234%", "5%", "9%"), ("a", "1", "2")],
)
def test_what_is_no_band_is_refused(texts: tuple[str, ...]) -> None:
    low, target, high = texts
    with pytest.raises(ValueError, match=r"follow|either|neither"):
        Band(low=low, target=target, high=high)


def test_parts_of_nothing_are_nothing() -> None:
    band = Band(low="5%", target="10%", high="20%")
    assert treasury.levels_of(band, scale=2, total=-7) == Levels(low=0, target=0, high=0)


@pytest.mark.parametrize(
    ("found", "side"),
    [
        (ready(400), ""),
        (ready(401), "high"),
        (ready(500, waiting=100), ""),
        (ready(500, spendable=400), ""),
        (ready(100), ""),
        (ready(99), "low"),
        (ready(99, coming=1), ""),
        (ready(150, waiting=51), "low"),
    ],
)
def test_what_waits_counts_as_gone_and_what_comes_as_there(found: Ready, side: str) -> None:
    assert treasury.side_of(found, LEVELS) == side


def test_both_ways_lead_to_the_target() -> None:
    assert treasury.surplus(ready(500, waiting=50), LEVELS) == 250
    assert treasury.surplus(ready(500, spendable=300), LEVELS) == 100
    assert treasury.lacking(ready(50, coming=10, waiting=5), LEVELS) == 145


def movement(address: str, sender: str | None) -> Movement:
    return Movement(chain_tx="t", index="0", address=address, token=None, amount=1, sender=sender)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (movement("hot", "warm"), "warm"),
        (movement("hot", "anybody"), "house"),
        (movement("hot", None), "house"),
        (movement("own", "anybody"), "warm"),
        (movement("wallet", "warm"), "wallet"),
    ],
)
def test_what_comes_from_the_warm_address_is_known_by_its_sender_or_its_place(found: Movement, kind: str) -> None:
    house = Ours("hot", None)
    wallet = Ours("deposit", UUID(int=1))
    arrived, _ = matching.sort(
        [found],
        ours={("hot", ""): house, ("own", ""): house, ("wallet", ""): wallet},
        assets={None: "BTC"},
        own=(),
        shared=False,
        warm=Warm(sender="warm", address="own"),
    )
    assert [one.kind for one in arrived] == [kind]
