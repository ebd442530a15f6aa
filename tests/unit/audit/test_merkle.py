"""The tree, against the vectors of Certificate Transparency's reference implementation and a naive one of the RFC."""

from hashlib import sha256

import hypothesis.strategies as st
import pytest
from hypothesis import given

from billfold.audit.domain import merkle
from billfold.audit.domain.merkle import Node

#: github.com/google/certificate-transparency: merkletree/merkle_tree_test.cc.
INPUTS = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}

sizes = st.integers(min_value=1, max_value=70)


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH(D[n]) as RFC 6962 writes it down."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    half = max(power for power in (1 << exponent for exponent in range(10)) if power < len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:half]) + naive_root(leaves[half:])).digest()


def leaves_of(size: int) -> list[bytes]:
    return [f"leaf {number}".encode() for number in range(size)]


def hashes_of(leaves: list[bytes]) -> dict[Node, bytes]:
    """Every complete subtree's."""
    return {
        Node(level, index): naive_root(leaves[index << level : (index + 1) << level])
        for level in range(len(leaves).bit_length())
        for index in range(len(leaves) >> level)
    }


def inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    hashes = hashes_of(leaves)
    return [merkle.range_hash(each, hashes) for each in merkle.inclusion_ranges(index, len(leaves))]


def consistency(first: int, leaves: list[bytes]) -> list[bytes]:
    hashes = hashes_of(leaves)
    return [merkle.range_hash(each, hashes) for each in merkle.consistency_ranges(first, len(leaves))]


def test_roots_are_those_of_certificate_transparency() -> None:
    tree = merkle.Frontier()
    assert tree.root.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for content, root in zip(INPUTS, ROOTS, strict=True):
        tree.append(merkle.leaf_hash(content))
        assert tree.root.hex() == root
        assert merkle.root(tree.size, hashes_of(INPUTS[: tree.size])).hex() == root


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_are_those_of_certificate_transparency(index: int, size: int) -> None:
    assert [step.hex() for step in inclusion(index, INPUTS[:size])] == INCLUSION[index, size]


@pytest.mark.parametrize(("first", "second"), CONSISTENCY)
def test_consistency_proofs_are_those_of_certificate_transparency(first: int, second: int) -> None:
    assert [step.hex() for step in consistency(first, INPUTS[:second])] == CONSISTENCY[first, second]


@given(sizes)
def test_a_root_is_what_the_rfc_says(size: int) -> None:
    leaves, tree = leaves_of(size), merkle.Frontier()
    for leaf in leaves:
        tree.append(merkle.leaf_hash(leaf))
    assert tree.root == naive_root(leaves) == merkle.root(size, hashes_of(leaves))


@given(sizes, st.data())
def test_a_tree_that_is_taken_up_again_goes_on_as_it_was(size: int, data: st.DataObject) -> None:
    leaves, kept = leaves_of(size), data.draw(st.integers(0, size))
    hashes = hashes_of(leaves)
    tree = merkle.Frontier(kept, [hashes[node] for node in merkle.covering((0, kept))])
    for leaf in leaves[kept:]:
        tree.append(merkle.leaf_hash(leaf))
    assert tree.root == naive_root(leaves)


@given(sizes, st.data())
def test_a_leaf_is_proven_and_no_other(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion(index, leaves), naive_root(leaves)

    def proves(leaf: bytes, at: int = index, of: int = size, by: list[bytes] = proof) -> bool:
        return merkle.is_included(leaf=merkle.leaf_hash(leaf), index=at, size=of, proof=by, root=root)

    assert proves(leaves[index])
    assert not proves(b"another")
    assert not proves(leaves[index], by=[*proof, root])
    assert not proves(leaves[index], at=size)
    assert not any(proves(leaves[index], at=at) for at in range(size) if at != index)
    assert not proof or not proves(leaves[index], by=proof[:-1])
    for place in range(len(proof)):
        assert not proves(leaves[index], by=[*proof[:place], bytes(32), *proof[place + 1 :]])


@given(sizes, st.data())
def test_a_tree_is_proven_to_have_grown_and_not_to_have_changed(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    first = data.draw(st.integers(1, size))
    proof, second_root = consistency(first, leaves), naive_root(leaves)

    def proves(before: list[bytes], by: list[bytes] = proof) -> bool:
        first_root = naive_root(before)
        return merkle.is_consistent(first=first, second=size, proof=by, first_root=first_root, second_root=second_root)

    assert proves(leaves[:first])
    changed = data.draw(st.integers(0, first - 1))
    assert not proves([*leaves[:changed], b"changed", *leaves[changed + 1 : first]])
    assert not proves(leaves[:first], by=[*proof, second_root])
    assert not proof or not proves(leaves[:first], by=proof[:-1])


def test_nothing_begins_everything() -> None:
    root = naive_root(leaves_of(3))
    assert merkle.consistency_ranges(0, 3) == []
    assert merkle.is_consistent(first=0, second=3, proof=[], first_root=merkle.EMPTY_ROOT, second_root=root)
    assert not merkle.is_consistent(first=0, second=3, proof=[], first_root=root, second_root=root)
    assert not merkle.is_consistent(first=4, second=3, proof=[], first_root=root, second_root=root)
