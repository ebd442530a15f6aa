"""Claims of addresses for proofs of reserves: the signer's own words, under its own policy, in its own log."""

from __future__ import annotations

import pytest

from billfold.chains.signing_port import Place
from billfold.signer import Signer, errors
from tests.signers import HOT, NEW_ID, Wallet

ROOT = bytes(range(32))
DEPOSIT = Place(purpose="deposit", index=7)


async def test_addresses_are_claimed_in_the_signers_words_and_written_down_once(signer: Signer, wallet: Wallet) -> None:
    snapshot = NEW_ID()
    places = {await wallet.at("hot"): HOT, await wallet.at("deposit", 7): DEPOSIT}
    signed = await signer.claim(tree_id=wallet.id, snapshot=snapshot, root=ROOT, places=places)
    assert signed.keys() == places.keys()
    assert await signer.claim(tree_id=wallet.id, snapshot=snapshot, root=ROOT, places=places) == signed
    (line,) = [line for line in await wallet.told() if line["decision"] == "claimed"]
    assert (line["request"], line["root"], line["chain"]) == (str(snapshot), ROOT.hex(), "tiny")
    assert line["addresses"] == sorted(places)


async def test_no_place_is_claimed_under_another_address(signer: Signer, wallet: Wallet) -> None:
    snapshot, address = NEW_ID(), await wallet.at("deposit", 8)
    for _ in range(2):
        with pytest.raises(errors.NotAsExpected):
            await signer.claim(tree_id=wallet.id, snapshot=snapshot, root=ROOT, places={address: DEPOSIT})
    assert (await wallet.decisions()).count("refused") == 1
    with pytest.raises(errors.TreeNotFound):
        await signer.claim(tree_id=NEW_ID(), snapshot=snapshot, root=ROOT, places={address: DEPOSIT})


async def test_where_money_is_real_nothing_is_claimed_unless_the_policy_says_so(signer: Signer) -> None:
    main = await Wallet.made(signer, network="main", chain=f"tiny-{NEW_ID()}")
    places = {await main.at("hot"): HOT}

    async def claim() -> int:
        return len(await signer.claim(tree_id=main.id, snapshot=NEW_ID(), root=ROOT, places=places))

    with pytest.raises(errors.ClaimsForbidden):
        await claim()
    await signer.allow_claims(main.chain, "main")
    assert await claim() == 1
    await signer.allow_claims(main.chain, "main", on=False)
    with pytest.raises(errors.ClaimsForbidden):
        await claim()
    told = [line.get("claims") for line in await policy_lines(signer, main.chain)]
    assert told == [True, False]
    # What was signed is no payment: nothing of any limit is used up, and none is needed.
    assert "signed" not in await main.decisions()


async def policy_lines(signer: Signer, chain: str) -> list[dict[str, object]]:
    wallet = Wallet(signer, NEW_ID(), "main", chain)
    lines = await wallet.lines()
    return [line for line in lines if line["decision"] == "policy" and line.get("chain") == chain]


async def test_what_is_no_root_and_what_is_too_much_is_refused(signer: Signer, wallet: Wallet) -> None:
    address = await wallet.at("hot")
    many = {f"a{number}": HOT for number in range(501)}
    far = {address: Place(purpose="hot", index=2**31)}
    for root, places in ((b"short", {address: HOT}), (ROOT, {}), (ROOT, many), (ROOT, far)):
        with pytest.raises(errors.RequestInvalid):
            await signer.claim(tree_id=wallet.id, snapshot=NEW_ID(), root=root, places=places)
