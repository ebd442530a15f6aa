"""Whoever wraps keys: each provider keeps the same promises, and one that is away is waited for."""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hvac
import moto
import pytest

from billfold.platform import host
from billfold.platform.keys import Keyring, KeysUnavailable, SealBroken, aws, blocking, hsm, local, transit
from billfold.platform.keys.envelope import Provider
from tests import master_keys, servers
from tests.conftest import had
from tests.servers.transit import TransitServer, running_transit

KEY = bytes(range(32))
#: Where Debian and others put it.
SOFTHSM = [Path(p) for p in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so")]
PIN = "1234"


class Tried(NamedTuple):
    """A provider, how its master key is rotated, and one that asks where nothing answers, or without a right to."""

    provider: Provider
    rotate: Callable[[], None]
    away: Provider


@pytest.fixture(scope="module")
def transit_server() -> Iterator[TransitServer | None]:
    """None stands for a real one."""
    if os.environ.get("VAULT_ADDR"):
        yield None
    else:
        with running_transit() as server:
            yield server


@pytest.fixture
def vault(transit_server: TransitServer | None) -> Tried:
    url, token = (
        (transit_server.url, transit_server.token)
        if transit_server is not None
        else (os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"])
    )
    name = f"billfold-{secrets.token_hex(4)}"
    client = hvac.Client(url=url, token=token)
    client.secrets.transit.create_key(name=name)

    def provider(**other: Any) -> transit.TransitProvider:
        return transit.TransitProvider(**{"url": url, "token": token, "mount": "transit", "key": name, **other})

    return Tried(
        provider(),
        lambda: client.secrets.transit.rotate_key(name=name),
        provider(token="no such token"),
    )


@pytest.fixture(scope="module")
def kms_server() -> Iterator[str]:
    """moto's KMS, in this process: it answers what boto3 sends, encryption contexts among it."""
    settings = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        with moto.mock_aws():
            yield "eu-central-1"


@pytest.fixture
def kms(kms_server: str) -> Tried:
    import boto3  # noqa: PLC0415 - after its calls are answered here

    client = boto3.client("kms", region_name=kms_server)
    alias = f"alias/billfold-{secrets.token_hex(4)}"
    client.create_alias(AliasName=alias, TargetKeyId=client.create_key()["KeyMetadata"]["KeyId"])

    def rotate() -> None:
        client.update_alias(AliasName=alias, TargetKeyId=client.create_key()["KeyMetadata"]["KeyId"])

    away = aws.AwsKmsProvider(key_id=alias, region=kms_server, endpoint=f"http://127.0.0.1:{host.free_port()}")
    return Tried(aws.AwsKmsProvider(key_id=alias, region=kms_server), rotate, away)


@pytest.fixture(scope="module")
def softhsm_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SoftHSM 2 in this process, with tokens in a folder of its own."""
    with had("softhsm_server"):
        library = next((path for path in SOFTHSM if path.exists()), None)
        if library is None:
            raise servers.Missing("softhsm2, the Debian package, is not installed")
        folder = tmp_path_factory.mktemp("softhsm")
        (folder / "tokens").mkdir()
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
        os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
        return library


@pytest.fixture
def softhsm(softhsm_server: Path) -> Tried:
    import pkcs11  # noqa: PLC0415 - its library reads where its tokens are when it is loaded

    label = f"billfold-{secrets.token_hex(4)}"
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "5678"]
    subprocess.run(command, check=True, capture_output=True)
    made = iter(range(10, 99))
    library = pkcs11.lib(str(softhsm_server))
    # Another process has made the token.
    library.reinitialize()

    def rotate() -> None:
        token = library.get_token(token_label=label)
        try:
            session = token.open(user_pin=PIN, rw=True)
        except pkcs11.UserAlreadyLoggedIn:  # By the provider: that counts for the whole process.
            session = token.open(rw=True)
        with session:
            session.generate_key(pkcs11.KeyType.AES, 256, label=f"billfold-{next(made)}", store=True)

    rotate()

    def provider(**other: Any) -> hsm.HsmProvider:
        given = {"module": softhsm_server, "token": label, "pin": PIN, "prefix": "billfold"}
        return hsm.HsmProvider(**{**given, **other})

    return Tried(provider(), rotate, provider(token="no such token"))


@pytest.fixture
def file(tmp_path: Path) -> Tried:
    path = master_keys.file_in(tmp_path)

    class Read:
        """Reads the file each time, as a new process would."""

        async def newest(self) -> str:
            return await local.load(path).newest()

        async def wrap(self, key: bytes, context: bytes) -> bytes:
            return await local.load(path).wrap(key, context)

        async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
            return await local.load(path).unwrap(wrapped, context)

    def rotate() -> None:
        local.add(path)

    (tmp_path / "other").mkdir()
    return Tried(Read(), rotate, local.load(master_keys.file_in(tmp_path / "other")))


@pytest.fixture(params=["file", "vault", "kms", "softhsm"])
def tried(request: pytest.FixtureRequest) -> Tried:
    found: Tried = request.getfixturevalue(request.param)
    return found


async def test_what_is_wrapped_opens_for_its_context_alone(tried: Tried) -> None:
    wrapped = await tried.provider.wrap(KEY, b"signer.tree 1")
    assert KEY not in wrapped
    assert await tried.provider.unwrap(wrapped, b"signer.tree 1") == KEY
    with pytest.raises(SealBroken):
        await tried.provider.unwrap(wrapped, b"signer.tree 2")
    assert await tried.provider.wrap(KEY, b"signer.tree 1") != wrapped


async def test_what_was_changed_does_not_open(tried: Tried) -> None:
    wrapped = bytearray(await tried.provider.wrap(KEY, b"context"))
    # Of base64 the last letters may say nothing, so one before them.
    wrapped[-8] = ord("A") if wrapped[-8] != ord("A") else ord("B")
    with pytest.raises(SealBroken):
        await tried.provider.unwrap(bytes(wrapped), b"context")


async def test_a_rotated_key_wraps_anew_and_opens_what_was_before(tried: Tried) -> None:
    before, wrapped = await tried.provider.newest(), await tried.provider.wrap(KEY, b"context")
    assert await tried.provider.newest() == before
    tried.rotate()
    after = await tried.provider.newest()
    assert after != before
    assert await tried.provider.unwrap(wrapped, b"context") == KEY
    assert await tried.provider.unwrap(await tried.provider.wrap(KEY, b"context"), b"context") == KEY


async def test_one_that_does_not_answer_is_an_error_that_waits(tried: Tried) -> None:
    wrapped = await tried.provider.wrap(KEY, b"context")
    with pytest.raises(KeysUnavailable) as met:
        await tried.away.unwrap(wrapped, b"context")
    assert met.value.retryable


async def test_a_seal_passes_from_one_provider_to_another(file: Tried, vault: Tried) -> None:
    both: dict[str, Provider] = {"local": file.provider, "vault": vault.provider}
    before, after = (Keyring(both, sealing=name) for name in both)
    sealed = await before.seal(b"seed", context="c")
    assert (await before.newest()).provider == "local"
    assert await after.open(sealed, provider="local", context="c") == b"seed"
    assert (await after.newest()).provider == "vault"
    with pytest.raises(KeysUnavailable, match="'aws-kms'"):
        await after.open(sealed, provider="aws-kms", context="c")


async def test_a_vault_that_is_sealed_is_waited_for(transit_server: TransitServer | None, vault: Tried) -> None:
    if transit_server is None:
        pytest.skip("a real Vault is not sealed for a test")
    wrapped = await vault.provider.wrap(KEY, b"context")
    transit_server.engine.sealed = True
    try:
        for asked in (vault.provider.newest(), vault.provider.wrap(KEY, b"c"), vault.provider.unwrap(wrapped, b"c")):
            with pytest.raises(KeysUnavailable) as met:
                await asked
            assert transit_server.token not in met.value.detail
    finally:
        transit_server.engine.sealed = False
    assert await vault.provider.unwrap(wrapped, b"context") == KEY


async def test_nobody_waits_longer_than_has_been_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading  # noqa: PLC0415

    monkeypatch.setattr(blocking, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(blocking, "CALLS_MAX", 1)
    hangs, calls = threading.Event(), blocking.Blocking("It", threads=1)
    try:
        with pytest.raises(KeysUnavailable, match="within"):
            await calls.call(hangs.wait, 30)
        with pytest.raises(KeysUnavailable, match="keep up"):
            await calls.call(hangs.wait, 30)
    finally:
        hangs.set()
        calls.close()
