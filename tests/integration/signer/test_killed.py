"""The role is killed while it signs: each request is signed once all the same, and gets the same answer."""

import asyncio
from pathlib import Path
from uuid import UUID

from billfold.app import settings, signing
from billfold.app.supervisor.roles import SIGNER, RoleProcess
from billfold.chains.port import Payment, Signed
from billfold.chains.solana import orders
from billfold.platform import host
from billfold.platform.rpc.errors import ServiceUnavailable
from billfold.signer.contracts import Expected
from billfold.signer.rpc import RemoteSigner
from tests import master_keys, servers, signers
from tests.signers import HOT, NEW_ID

REQUESTS = 40
PAID = "5SxCKipPqCsBzq1jMt7kV6CjS9RfjM3FhmBmwDtLP75P"


async def test_a_request_is_signed_once_whenever_the_signer_is_killed(
    postgres_server: servers.PostgresServer, tmp_path: Path
) -> None:
    database, folder = signers.create_database(postgres_server), host.private_folder(tmp_path / "s")
    tree = settings.Settings(
        data_dir=tmp_path,
        signer=settings.Signer(
            dsn=database.dsn,
            keys_file=master_keys.file_in(tmp_path),
            listen=f"unix:{folder}/signer.sock",
            address=f"unix:{folder}/signer.sock",
            metrics_port=host.free_port(),
            timeout_s=60,
        ),
    )
    role, ids = RoleProcess(SIGNER, tree, on_line=lambda _: None), [NEW_ID() for _ in range(REQUESTS)]
    child = await role.start()
    try:
        async with signing.connected(tree.signer) as remote:
            assert remote is not None
            made = await remote.create(tree_id=NEW_ID(), chain="solana", network="sandbox")
            (hot,) = await remote.addresses(tree_id=made.id, purpose="hot", first=0, count=1)

            async def sign(number: int) -> Signed:
                while True:
                    try:
                        return await pay(remote, made.id, hot, ids[number], number)
                    except ServiceUnavailable:
                        await asyncio.sleep(0.1)

            asked = [asyncio.create_task(sign(number)) for number in range(REQUESTS)]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            child.process.kill()
            await child.wait()
            child = await role.start()
            answers = await asyncio.gather(*asked)
            assert [await sign(number) for number in range(REQUESTS)] == answers
    finally:
        await child.stop()
    async with signing.opened(tree.signer, name="test") as (signer, _):
        assert [line.decision for line in await signer.log()].count("signed") == REQUESTS
        assert (await signer.verify_log())[0] == REQUESTS + 1


async def pay(remote: RemoteSigner, tree_id: UUID, hot: str, request_id: UUID, number: int) -> Signed:
    pays = [orders.Pay(address=PAID, amount=1_000 + number)]
    order = orders.Order(payer=hot, blockhash=PAID, units=orders.units(pays), micro_lamports=1_000, pays=pays)
    payment = Payment(address=PAID, amount=1_000 + number)
    return await remote.sign(
        request_id=request_id,
        tree_id=tree_id,
        payload=orders.message(order),
        places={hot: HOT},
        expected=Expected(payments=[payment], fee_max=order.fee_max),
    )
