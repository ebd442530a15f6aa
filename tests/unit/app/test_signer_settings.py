"""Who is told what: the signer's own things nobody but the signer, and the signer nothing of the rest."""

import contextlib
from pathlib import Path

import pytest

from billfold.app import settings, signing
from billfold.app.supervisor import roles
from billfold.platform.keys import local
from tests import master_keys

OWN = {
    "signer.dsn": "postgresql://billfold_signer:hush-1@db/signer",
    "signer.owner_dsn": "postgresql://billfold_owner:hush-2@db/signer",
    "signer.keys_file": Path("/etc/hush-3"),
    "signer.vault.url": "https://vault.internal",
    "signer.vault.token": "hush-4",
    "signer.aws_kms.key_id": "hush-5",
    "signer.pkcs11.pin": "hush-6",
}
OTHERS = {
    "postgres.dsn": "postgresql://billfold_app:hush-7@db/core",
    "postgres.owner_dsn": "postgresql://billfold_owner:hush-8@db/core",
    "audit.dsn": "postgresql://billfold_app:hush-9@db/audit",
    "keys.file": Path("/etc/hush-10"),
    "nats.password": "hush-11",
}
TOLD = {"signer.address": "unix:/run/signer.sock", "signer.token": "a token of sixteen"}


def environment(role: roles.Role, tmp_path: Path) -> str:
    tree = settings.replaced(settings.Settings(data_dir=tmp_path), {**OWN, **OTHERS, **TOLD})
    process = roles.RoleProcess(role, tree, on_line=print)
    return "\n".join(roles.environment(process._told, {}).values())


@pytest.mark.parametrize("role", [roles.API, roles.WORKER, roles.LEDGER, roles.MAIL_SINK])
def test_no_other_role_is_told_how_the_signer_s_seeds_are_opened(role: roles.Role, tmp_path: Path) -> None:
    told = environment(role, tmp_path)
    assert not [value for value in OWN.values() if str(value) in told]
    assert all(value in told for value in TOLD.values())


def test_the_signer_is_told_of_itself_and_of_no_other_database(tmp_path: Path) -> None:
    told = environment(roles.SIGNER, tmp_path)
    assert not [value for value in OTHERS.values() if str(value) in told]
    assert "hush-2" not in told
    assert all(secret in told for secret in ("hush-1", "hush-3", "hush-4", "hush-5", "hush-6"))


def test_a_provider_that_is_not_set_can_t_seal() -> None:
    with contextlib.ExitStack(), pytest.raises(settings.SettingInvalid, match=r"signer\.vault\.url"):
        signing.keyring(settings.Signer(provider="vault"), contextlib.AsyncExitStack())
    with pytest.raises(settings.SettingInvalid, match=r"signer\.keys_file"):
        signing.keyring(settings.Signer(), contextlib.AsyncExitStack())


async def test_another_provider_opens_what_it_has_sealed_as_long_as_it_is_set(tmp_path: Path) -> None:
    file = master_keys.file_in(tmp_path)
    before = signing.keyring(settings.Signer(keys_file=file), contextlib.AsyncExitStack())
    sealed = await before.seal(b"seed", context="c")
    both = settings.replaced(
        settings.Signer(keys_file=file, provider="vault"),
        {"vault.url": "http://127.0.0.1:9", "vault.token": "hush"},
    )
    async with contextlib.AsyncExitStack() as stack:
        ring = signing.keyring(both, stack)
        assert await ring.open(sealed, provider="local", context="c") == b"seed"
    assert await local.load(file).newest() == (await before.newest()).key
