"""A backup opens with its passphrase, or with enough shares, and with nothing else; what it gives back is the same."""

import json
from collections.abc import AsyncIterator

import pytest

from billfold.signer import Signer, errors
from tests import canary, servers, signers
from tests.signers import Wallet

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
async def empty(postgres_server: servers.PostgresServer) -> AsyncIterator[Signer]:
    """A signer elsewhere, that has nothing yet."""
    async with signers.started(signers.create_database(postgres_server).dsn) as signer:
        yield signer


async def addresses(signer: Signer, wallet: Wallet) -> list[str]:
    return list(await signer.addresses(tree_id=wallet.id, purpose="deposit", first=0, count=5))


async def test_what_was_backed_up_is_the_same_elsewhere(signer: Signer, empty: Signer) -> None:
    wallets = [await Wallet.made(signer, network=network) for network in ("main", "test")]
    file = await signer.backup(text=PASSPHRASE)
    assert str(wallets[0].id) in file.decode()
    restored = await empty.restore(file, text=PASSPHRASE)
    assert {tree.id for tree in restored} >= {wallet.id for wallet in wallets}
    for wallet in wallets:
        assert await addresses(empty, wallet) == await addresses(signer, wallet)
    # A second time it changes nothing.
    assert await empty.restore(file, text=PASSPHRASE) == restored
    assert {line.decision for line in await empty.log()} == {"restored"}
    assert "backed_up" in {line.decision for line in await signer.log()}


async def test_any_three_of_five_shares_open_it_and_two_do_not(signer: Signer, wallet: Wallet, empty: Signer) -> None:
    file, shares = await signer.backup_in_shares(threshold=3, shares=5)
    for too_few in (shares[:2], [shares[0]] * 3, []):
        with pytest.raises(errors.BackupInvalid, match="takes 3"):
            await empty.restore(file, shares=too_few)
    with pytest.raises(errors.BackupInvalid, match="Line 2"):
        await empty.restore(file, shares=[shares[0], shares[1][:-1] + "x", shares[2]])
    digit = "0" if shares[1][60] != "0" else "1"
    with pytest.raises(errors.BackupInvalid, match="Line 2"):
        await empty.restore(file, shares=[shares[0], shares[1][:60] + digit + shares[1][61:], shares[2]])
    _, others = await signer.backup_in_shares(threshold=3, shares=5)
    with pytest.raises(errors.BackupInvalid, match="another backup"):
        await empty.restore(file, shares=[*shares[:2], others[2]])
    await empty.restore(file, shares=[shares[4], shares[0], shares[2]])
    assert await addresses(empty, wallet) == await addresses(signer, wallet)


async def test_a_file_that_was_changed_or_is_none_does_not_open(signer: Signer, wallet: Wallet, empty: Signer) -> None:
    file = await signer.backup(text=PASSPHRASE)
    with pytest.raises(errors.BackupInvalid):
        await empty.restore(file, text="another passphrase")
    with pytest.raises(errors.BackupInvalid):
        await empty.restore(file.replace(str(wallet.id).encode(), str(signers.NEW_ID()).encode()), text=PASSPHRASE)
    greedy = json.loads(file)
    greedy["lock"]["derived"]["memory_kib"] = 2**40
    for content in (b"", b"{}", file[:-20], json.dumps(greedy).encode(), b" " * 5_000_000):
        with pytest.raises(errors.BackupInvalid):
            await empty.restore(content, text=PASSPHRASE)
    with pytest.raises(errors.RequestInvalid):
        await signer.backup(text="short")
    assert not await empty.trees()


async def test_neither_file_nor_shares_have_a_seed_in_them(signer: Signer) -> None:
    words = "letter advice cage absurd amount doctor acoustic avoid letter advice cage above"
    planted = canary.Planted()
    from billfold.chains import mnemonics  # noqa: PLC0415

    planted.plant("seed", mnemonics.seed(words))
    planted.plant("entropy", mnemonics.entropy(words))
    await signer.import_mnemonic(tree_id=signers.NEW_ID(), chain="tiny", network="sandbox", mnemonic=words)
    file, shares = await signer.backup_in_shares(threshold=2, shares=2)
    assert not planted.search("the backup", file + "\n".join(shares).encode())
