"""Known words and keys are used by the real role, and then looked for in everything that it has written or sent."""

import asyncio
import base64
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest
from embit import base58
from stellar_sdk import (
    Asset,
    FeeBumpTransaction,
    FeeBumpTransactionEnvelope,
    Keypair,
    Preconditions,
    TimeBounds,
    Transaction,
    TransactionEnvelope,
)
from stellar_sdk import Payment as PaymentOperation

from billfold.app import settings, signing
from billfold.app.supervisor.roles import SIGNER, RoleProcess
from billfold.chains import mnemonics
from billfold.chains.bitcoin import building, transactions
from billfold.chains.bitcoin import keys as bitcoin_keys
from billfold.chains.bitcoin.addresses import script_of
from billfold.chains.bitcoin.transactions import Output
from billfold.chains.port import Allocation, Coin, Payment, Rate, Unsigned
from billfold.chains.signing_port import Place
from billfold.chains.stellar import keys as stellar_keys
from billfold.chains.stellar.networks import PASSPHRASES
from billfold.kernel import errors as kernel_errors
from billfold.platform import host
from billfold.platform.telemetry import traces
from billfold.signer import Signer
from billfold.signer.contracts import Expected
from billfold.signer.rpc import RemoteSigner
from tests import canary, master_keys, otlp, servers, signers
from tests.signers import NEW_ID

WORDS = "turtle front uncle idea crush write shrug there lottery flower risk shell"
HOT = signers.HOT


@pytest.fixture(scope="module")
def planted() -> canary.Planted:
    """The words, what they stand for, the seed that they make, and the keys that are used, in the forms people keep."""
    found = canary.Planted()
    seed = mnemonics.seed(WORDS)
    found.plant("mnemonic", WORDS)
    found.plant("half of the mnemonic", " ".join(WORDS.split()[:6]))
    found.plant("entropy", mnemonics.entropy(WORDS))
    found.plant("seed", seed)
    found.plant("half of the seed", seed[:32])
    for place in (HOT, Place(purpose="deposit", index=1)):
        secret = bitcoin_keys._derived(seed, bitcoin_keys._steps(place.purpose, place.index, "sandbox")).secret
        found.plant("key", secret)
        found.plant("key as WIF", base58.encode_check(b"\xef" + secret + b"\x01"))
        found.plant("key as a number", str(int.from_bytes(secret)))
    pair = stellar_keys.pair(seed, HOT, network="sandbox")
    secret = pair._secret[:32]
    found.plant("key", secret)
    found.plant("key as Stellar writes it", Keypair.from_raw_ed25519_seed(secret).secret)
    return found


class Recorder:
    """Stands between the two sides of a socket, and keeps what passes."""

    def __init__(self) -> None:
        self.passed = bytearray()
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def between(self, path: str, behind: str) -> AsyncIterator[None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_unix_connection(behind)
            self._writers += [writer, back]
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer), return_exceptions=True)

        server = await asyncio.start_unix_server(serve, path)
        try:
            yield
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
            for writer in self._writers:
                with suppress(OSError):
                    await writer.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.passed += data
            writer.write(data)
            await writer.drain()
        writer.close()


def pay_bitcoin(hot: str, deposit: str) -> Unsigned:
    outputs = [Output(60_000, script_of(hot, "sandbox")), Output(70_000, script_of(deposit, "sandbox"))]
    parent = transactions.write(inputs=[transactions.Input("11" * 32, 0)], outputs=outputs)
    coins = [
        Coin(chain_tx=parent.txid, index=str(index), address=address, amount=output.value)
        for index, (address, output) in enumerate(zip((hot, deposit), outputs, strict=True))
    ]
    allocation = Allocation(source=hot, coins=coins, change=hot)
    rate = Rate(numbers={"sat_per_kvb": 1_000})
    payment, parents = Payment(address=hot, amount=100_000), {parent.txid: parent}
    return building.build([payment], allocation, parents=parents, rate=rate, network="sandbox")


def pay_stellar(source: str, payment: Payment) -> Unsigned:
    operation = PaymentOperation(payment.address, Asset.native(), "1.5", source=source)
    bounds = Preconditions(time_bounds=TimeBounds(1_700_000_000, 1_700_086_400))
    inner = Transaction(source, 7, 0, [operation], preconditions=bounds, v1=True)
    passphrase = PASSPHRASES["sandbox"]
    envelope = FeeBumpTransactionEnvelope(
        FeeBumpTransaction(source, 400, TransactionEnvelope(inner, passphrase)), passphrase
    )
    return Unsigned(payload=base64.b64decode(envelope.to_xdr()), fee_max=400)


async def use(remote: RemoteSigner, bitcoin: signers.Wallet, stellar: signers.Wallet) -> list[str]:
    """Sign on two chains, and be refused in every way; what the refusals said."""
    hot, deposit = await bitcoin.at("hot"), await bitcoin.at("deposit", 1)
    places = {hot: HOT, deposit: Place(purpose="deposit", index=1)}
    unsigned = pay_bitcoin(hot, deposit)
    wanted = Expected(payments=[Payment(address=hot, amount=100_000)], fee_max=unsigned.fee_max)

    async def sign(wallet: signers.Wallet, payload: bytes, expected: Expected, known: dict[str, Place]) -> str:
        signed = await remote.sign(
            request_id=NEW_ID(), tree_id=wallet.id, payload=payload, places=known, expected=expected
        )
        return signed.chain_tx

    assert await sign(bitcoin, unsigned.payload, wanted, places)
    lumen = Payment(address=Keypair.random().public_key, amount=15_000_000)
    source = await stellar.at("hot")
    paid = pay_stellar(source, lumen)
    assert await sign(stellar, paid.payload, Expected(payments=[lumen], fee_max=400), {source: HOT})
    said = []
    for wallet, payload, expected, known in (
        (bitcoin, unsigned.payload[:-1], wanted, places),
        (bitcoin, unsigned.payload, wanted, {hot: HOT}),
        (bitcoin, unsigned.payload, wanted, {hot: HOT, deposit: Place(purpose="deposit", index=2)}),
        (bitcoin, unsigned.payload, Expected(payments=[], fee_max=1), places),
        (stellar, unsigned.payload, wanted, {source: HOT}),
        (stellar, paid.payload, wanted, {source: Place(purpose="deposit", index=1)}),
    ):
        with pytest.raises(kernel_errors.BillfoldError) as met:
            await sign(wallet, payload, expected, known)
        said.append(f"{met.value!r} {met.value.detail}")
    return said


async def test_no_seed_and_no_key_is_anywhere_but_in_the_signer_s_memory(
    planted: canary.Planted, postgres_server: servers.PostgresServer, tmp_path: Path
) -> None:
    database, first = signers.create_database(postgres_server), await segment(postgres_server)
    folder, cores = host.private_folder(tmp_path / "s"), tmp_path / "cores"
    keys_file = master_keys.file_in(tmp_path)
    lines: list[str] = []
    with otlp.collecting() as collector:
        tree = settings.Settings(
            data_dir=tmp_path,
            signer=settings.Signer(
                dsn=database.dsn,
                keys_file=keys_file,
                listen=f"unix:{folder}/signer.sock",
                address=f"unix:{folder}/seen.sock",
                metrics_port=host.free_port(),
            ),
            log=settings.Log(level="debug", format="json"),
        )
        tree = settings.replaced(tree, {"traces.endpoint": collector.url, "traces.sample": 1.0})
        async with signing.opened(tree.signer, name="import") as (signer, _):
            wallets = [await imported(signer, chain) for chain in ("bitcoin", "stellar")]
        role, recorder = RoleProcess(SIGNER, tree, on_line=lines.append), Recorder()
        child = await role.start()
        try:
            async with (
                recorder.between(f"{folder}/seen.sock", f"{folder}/signer.sock"),
                traces.recording(endpoint=collector.url, share=1.0, service="test", version="1"),
                signing.connected(tree.signer) as remote,
            ):
                assert remote is not None
                for wallet in wallets:
                    wallet.signer = remote
                # Calls are traced when they come from a request that is.
                with traces.request("the test", None):
                    said = await use(remote, *wallets)
                hot = await wallets[0].at("hot")
                allowed = Path(f"/proc/{child.pid}/limits").read_text()
                assert re.search(r"Max core file size\s+0\s+0\s", allowed)
            await asyncio.to_thread(wait_for_spans, collector)
            child.process.send_signal(signal.SIGQUIT)
            assert await child.wait() != 0
        finally:
            await child.stop()
        # What a crash would leave: nothing, wherever the kernel would have put it.
        assert not list(tmp_path.rglob("core*")), cores
        oid, last = await checkpointed(postgres_server, database), await segment(postgres_server)
        searched = {
            "the log": "\n".join(lines).encode(),
            "gRPC": bytes(recorder.passed),
            "errors": "\n".join(said).encode(),
            "traces": repr(collector.spans).encode(),
            **{str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()},
            **{str(path): path.read_bytes() for path in pages(postgres_server, oid, first, last)},
        }
    findings = [found for place, text in searched.items() for found in planted.search(place, text)]
    assert not findings, "\n".join(map(str, findings))
    # The search sees what is there: an address is no secret.
    seen = [place for place, text in searched.items() if hot.encode() in text]
    assert "gRPC" in seen
    for part in ("/base/", "/pg_wal/"):
        assert any(part in place for place in seen), f"the database's{part}was searched"
    assert any(span.name.endswith("Sign") for span in collector.spans)
    assert any("listening" in line for line in lines)


def wait_for_spans(collector: otlp.Collector) -> None:
    deadline = time.monotonic() + otlp.DEADLINE_S
    while not any(span.name.endswith("Sign") for span in collector.spans):
        assert time.monotonic() < deadline, "no span of a signature arrives"
        time.sleep(0.05)


async def imported(signer: Signer, chain: str) -> signers.Wallet:
    tree = await signer.import_mnemonic(tree_id=NEW_ID(), chain=chain, network="sandbox", mnemonic=WORDS)
    return signers.Wallet(signer, tree.id, "sandbox", chain)


async def checkpointed(server: servers.PostgresServer, database: signers.SignerDatabase) -> int:
    """The number of the database's folder, with everything in it that it has."""
    connection = await asyncpg.connect(server.admin_dsn)
    try:
        await connection.execute("CHECKPOINT")
        oid: int = await connection.fetchval("SELECT oid FROM pg_database WHERE datname = $1", database.name)
    finally:
        await connection.close()
    return oid


async def segment(server: servers.PostgresServer) -> str:
    """The file of the write-ahead log that is written to now."""
    connection = await asyncpg.connect(server.admin_dsn)
    try:
        found: str = await connection.fetchval("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
    finally:
        await connection.close()
    return found


def pages(server: servers.PostgresServer, oid: int, first: str, last: str) -> list[Path]:
    """The files of the signer's database, and what of the write-ahead log was written meanwhile.

    The log has gigabytes by then of what other tests have done.
    """
    home = server.embedded.home
    base = [path for path in (home / "base" / str(oid)).iterdir() if path.is_file()]
    written = [path for path in (home / "pg_wal").iterdir() if path.is_file() and first <= path.name <= last]
    assert written, "the log is where it was looked for"
    return base + written


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="by means of Linux alone")
def test_a_process_that_keeps_its_secrets_leaves_no_core_and_lets_nobody_look(tmp_path: Path) -> None:
    # Few would give a whole machine's memory to a test.
    code = (
        "import os, resource; from billfold.platform import secrecy\n"
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (65_536, 65_536)); kept = secrecy.keep()\n"
        "print(kept.undumpable, resource.getrlimit(resource.RLIMIT_CORE), flush=True); os.abort()"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines()[-1] == "True (0, 0)"
    assert ended.returncode == -signal.SIGABRT
    assert not list(tmp_path.iterdir())
