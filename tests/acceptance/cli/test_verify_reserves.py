"""`billfold verify-reserves`: what a stranger learns from a published file alone, without a stack, key or setting."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from billfold.app.cli import exits
from billfold.chains.claims import CHAINS, Claim
from billfold.chains.signing_port import Keys, Place, Signing
from billfold.custody.contracts import PROOF_FORMAT, HolderProof, Reserves
from billfold.custody.contracts.reserves import FORMAT, Beside, HeldAddress, HeldOnChain, Liabilities, Step
from billfold.custody.domain import reserves, sum_trees
from tests.commands import Billfold

SEED, SECRET = bytes(64), bytes(32)
AT = datetime(2026, 11, 22, 18, tzinfo=UTC)
SNAPSHOT, WALLET = UUID(int=7), UUID(int=100)
COINS = {"bitcoin": ("BTC", 8), "ethereum": ("ETH", 18), "solana": ("SOL", 9), "stellar": ("XLM", 7)}
PLACE = Place(purpose="hot", index=0)


def leaves(asset: str) -> list[tuple[bytes, int]]:
    """The wallet's 150,000,000, and fifteen of nobody's."""
    mine = reserves.holder_of(reserves.salt(SECRET, asset, WALLET), WALLET)
    return sorted([(mine, 150_000_000), *((reserves.padding(SECRET, asset, number), 0) for number in range(15))])


def liabilities(chain: str) -> Liabilities:
    asset, scale = COINS[chain]
    top = sum_trees.top([sum_trees.leaf(*one) for one in leaves(asset)])
    told = {"asset": asset, "scale": scale, "chain": chain, "token": None, "below_zero": "0"}
    return Liabilities(**told, owed=str(top.sum), depth=4, top=top.hash.hex(), held="160000000")  # type: ignore[arg-type] # a dict of several kinds


def held(chain: str, root: bytes) -> HeldOnChain:
    keys = cast("Keys", import_module(f"billfold.chains.{chain}.keys"))
    signing = cast("Signing", import_module(f"billfold.chains.{chain}.signing"))
    (address,) = keys.addresses(SEED, purpose="hot", first=0, count=1, network="main")
    text = Claim(snapshot=SNAPSHOT, root=root, chain=chain, network="main", address=address).text()
    signature = signing.claim(text, SEED, address=address, place=PLACE, network="main")
    one = HeldAddress(address=address, amounts={COINS[chain][0]: "160000000"}, signature=signature)
    return HeldOnChain(chain=chain, network="main", height=9, addresses=[one], left_out=3)


@pytest.fixture(scope="module")
def published() -> Reserves:
    assets = [liabilities(chain) for chain in CHAINS]
    root = reserves.root_of(SNAPSHOT, AT, assets)
    chains = [held(chain, root) for chain in CHAINS]
    return Reserves(format=FORMAT, snapshot=SNAPSHOT, at=AT, root=root.hex(), assets=assets, chains=chains)


@pytest.fixture
def proof(published: Reserves) -> HolderProof:
    salt = reserves.salt(SECRET, "BTC", WALLET)
    tree = leaves("BTC")
    index = [holder for holder, _ in tree].index(reserves.holder_of(salt, WALLET))
    path = sum_trees.path([sum_trees.leaf(*one) for one in tree], index)
    beside = [Beside(hash=node.hash.hex(), sum=str(node.sum)) for node in path]
    step = Step(asset="BTC", amount="150000000", salt=salt.hex(), index=index, path=beside)
    told: dict[str, Any] = {"snapshot": SNAPSHOT, "at": AT, "root": published.root, "holder": WALLET}
    return HolderProof(format=PROOF_FORMAT, assets=[step], **told)


@pytest.fixture
def alone(tmp_path: Path) -> Billfold:
    """With no stack, and nowhere to look for one."""
    return Billfold({"HOME": str(tmp_path), "BILLFOLD_DATA_DIR": str(tmp_path / "none")})


def written(folder: Path, name: str, content: object) -> Path:
    (folder / name).write_bytes(msgspec.json.encode(content))
    return folder / name


def test_a_published_folder_and_a_proof_hold_and_what_was_not_checked_is_said(
    alone: Billfold, published: Reserves, proof: HolderProof, tmp_path: Path
) -> None:
    written(tmp_path, "reserves.json", published)
    mine = written(tmp_path, "mine.json", proof)
    said = alone("verify-reserves", tmp_path, "--proof", mine).out
    assert "BTC: 1.50000000 is owed, 1.60000000 is said to be held: enough." in said
    assert f"The wallet {WALLET} is counted" in said
    assert "NOT checked" in said
    for part in published.chains:
        assert f"{part.chain} (main), block 9: {part.addresses[0].address} " in said
    told = alone.json("verify-reserves", tmp_path / "reserves.json", "--proof", mine)
    assert (told["holds"], told["signed_addresses"], told["short"]) == (True, 4, [])
    assert told["counted"] == {"BTC": "150000000"}


def test_what_was_changed_does_not_hold(
    alone: Billfold, published: Reserves, proof: HolderProof, tmp_path: Path
) -> None:
    file = written(tmp_path, "reserves.json", published)
    (step,) = proof.assets
    less = written(
        tmp_path, "less.json", msgspec.structs.replace(proof, assets=[msgspec.structs.replace(step, amount="1")])
    )
    assert "NOT hold" in alone("verify-reserves", file, "--proof", less, code=exits.FAULT_FOUND).err
    for number, part in enumerate(published.chains):
        (one,) = part.addresses
        stranger = msgspec.structs.replace(one, address=sha256(part.chain.encode()).hexdigest())
        chains = list(published.chains)
        chains[number] = msgspec.structs.replace(part, addresses=[stranger])
        wrong = written(tmp_path, "wrong.json", msgspec.structs.replace(published, chains=chains))
        told = alone.json("verify-reserves", wrong, code=exits.FAULT_FOUND)
        assert not told["holds"]
        assert "signature" in told["why"]


def test_what_is_no_proof_is_said_to_be_none(alone: Billfold, tmp_path: Path) -> None:
    for content in (b"", b"[]", b'{"format": 1}', b"\xff\xfe", b"{" * 100_000):
        (tmp_path / "file").write_bytes(content)
        assert "not of the format" in alone("verify-reserves", tmp_path / "file", code=exits.FAILED).err
    assert "can't be read" in alone("verify-reserves", tmp_path / "missing", code=exits.FAILED).err
