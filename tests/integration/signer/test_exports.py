"""A seed leaves the signer sealed alone, and for nobody whom its own policy does not name."""

import asyncio
import functools

import asyncpg
import msgspec
import pytest

from billfold.chains import mnemonics
from billfold.platform.keys import recipients
from billfold.signer import Signer, errors, opened
from billfold.signer.contracts import Package
from tests import canary, signers
from tests.integration.signer.test_served import served, socket
from tests.signers import NEW_ID, Wallet

WORDS = "letter advice cage absurd amount doctor acoustic avoid letter advice cage above"
PRIVATE = recipients.private_key()
PUBLIC = recipients.public_key(PRIVATE)
OTHER = recipients.public_key(recipients.private_key())


@pytest.fixture
async def safe(signer: Signer) -> Signer:
    """A signer that knows one recipient."""
    await signer.exports.allow("safe", PUBLIC)
    return signer


async def test_without_a_recipient_in_the_policy_nothing_leaves_and_the_log_has_it(
    signer: Signer, wallet: Wallet
) -> None:
    give = functools.partial(signer.export, request_id=NEW_ID(), tree_id=wallet.id)
    with pytest.raises(errors.ExportNotAllowed):
        await give(recipient=OTHER)
    with pytest.raises(errors.RequestInvalid):
        await give(recipient=OTHER[:-1])
    with pytest.raises(errors.TreeNotFound):
        await signer.export(request_id=NEW_ID(), tree_id=NEW_ID(), recipient=OTHER)
    refused = (await wallet.told())[-1]
    assert (refused["decision"], refused["code"], refused["key"]) == ("refused", "export_not_allowed", OTHER.hex())
    await signer.verify_log()


async def test_a_package_opens_for_its_recipient_and_gives_the_words(safe: Signer) -> None:
    plain, protected = NEW_ID(), NEW_ID()
    for tree_id, passphrase in ((plain, ""), (protected, "TREZOR")):
        await safe.import_mnemonic(tree_id=tree_id, chain="tiny", network="test", mnemonic=WORDS, passphrase=passphrase)
        content = await safe.export(request_id=NEW_ID(), tree_id=tree_id, recipient=PUBLIC)
        found = opened(content, private=PRIVATE)
        assert (found.words, found.passphrase) == (WORDS, bool(passphrase))
        assert bytes.fromhex(found.seed) == mnemonics.seed(WORDS, passphrase)
        assert WORDS.split()[1] not in repr(found)
        package = msgspec.json.decode(content, type=Package)
        assert (package.tree, package.recipient) == (tree_id, PUBLIC)
        for wrong, private in (
            (content, recipients.private_key()),
            (msgspec.json.encode(msgspec.structs.replace(package, chain="other")), PRIVATE),
            (content[:-9], PRIVATE),
            (b"{}", PRIVATE),
            (b" " * 100_000, PRIVATE),
        ):
            with pytest.raises(errors.PackageInvalid):
                opened(wrong, private=private)


async def test_the_same_request_gets_the_same_package_and_another_one_is_refused(safe: Signer, wallet: Wallet) -> None:
    request_id = NEW_ID()
    give = functools.partial(safe.export, request_id=request_id, tree_id=wallet.id)
    packages = await asyncio.gather(*(give(recipient=PUBLIC) for _ in range(5)))
    assert len(set(packages)) == 1
    with pytest.raises(errors.RequestDiffers):
        await give(recipient=OTHER)
    exported = [line for line in await wallet.told() if line["decision"] == "exported"]
    assert [(line["recipient"], line["request"]) for line in exported] == [("safe", str(request_id))]
    await safe.exports.remove("safe")
    # What was given out stays; nothing else is.
    assert await give(recipient=PUBLIC) == packages[0]
    with pytest.raises(errors.ExportNotAllowed):
        await safe.export(request_id=NEW_ID(), tree_id=wallet.id, recipient=PUBLIC)
    with pytest.raises(errors.RecipientUnknown):
        await safe.exports.remove("safe")


async def test_a_recipient_has_one_name_and_a_key_that_keeps_secrets(safe: Signer) -> None:
    await safe.exports.allow("safe", PUBLIC)
    for name, key in (("safe", OTHER), ("other", PUBLIC), ("Other", OTHER), ("other", bytes(32)), ("other", b"")):
        with pytest.raises(errors.RequestInvalid):
            await safe.exports.allow(name, key)
    assert [(one.name, one.public_key) for one in await safe.exports.recipients()] == [("safe", PUBLIC)]


async def test_over_grpc_it_is_the_same_and_nothing_of_the_seed_passes_or_is_kept_in_the_open(
    safe: Signer, database: signers.SignerDatabase
) -> None:
    tree_id, request_id = NEW_ID(), NEW_ID()
    await safe.import_mnemonic(tree_id=tree_id, chain="tiny", network="test", mnemonic=WORDS)
    planted = canary.Planted()
    planted.plant("words", WORDS)
    planted.plant("entropy", mnemonics.entropy(WORDS))
    planted.plant("seed", mnemonics.seed(WORDS))
    with socket() as address:
        async with served(safe, address) as remote:
            package = await remote.export(request_id=request_id, tree_id=tree_id, recipient=PUBLIC)
            with pytest.raises(errors.ExportNotAllowed):
                await remote.export(request_id=NEW_ID(), tree_id=tree_id, recipient=OTHER)
    assert package == await safe.export(request_id=request_id, tree_id=tree_id, recipient=PUBLIC)
    assert not planted.search("the package", package)
    assert not planted.search("the log", b"".join([line.content for line in await safe.log()]))
    owner = await asyncpg.connect(database.owner_dsn)
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("DELETE FROM signer.exports")
    await owner.close()
