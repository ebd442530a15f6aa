"""What a newcomer finds in a fresh stack: an API key with every scope, two wallets with money in them, and a curl.

The key is kept in the data folder, where only its owner may read it, so that it stays the same from start to start.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from pathlib import Path

from billfold.app import container, settings
from billfold.app.supervisor import chains
from billfold.app.supervisor.stack import Sandbox
from billfold.identity import Identity, errors
from billfold.kernel.assets import Asset
from billfold.kernel.errors import BillfoldError, Denied, Unavailable
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger.errors import AssetExists
from billfold.platform import host
from billfold.wallets import Wallets
from billfold.wallets.contracts import NewWallet, Order

OWNER = "sandbox"
KEY_FILE = "sandbox.key"
#: Enough to play with for a while.
OPENING = Money("1000.00", "USD")
#: A code stands for one asset, so the second has another one.
TOKENS = (
    Asset(code="USDC", scale=6, kind="token", name="USD Coin (local)", chain="ethereum", contract=chains.ETHEREUM_USDC),
    Asset(code="USDC.SOL", scale=6, kind="token", name="USD Coin (local)", chain="solana", contract=chains.SOLANA_USDC),
)
#: A ledger that is starting itself has this long; one that posts in this process is there.
LEDGER_PATIENCE_S = 15.0
LEDGER_POLL_S = 0.2


class LedgerNotServing(Unavailable):
    """The ledger of `ledger.address` does not serve; look at its log, and at its `postgres.dsn`."""

    code = "ledger_not_serving"


async def prepare(tree: settings.Settings) -> Sandbox:
    """Make the sandbox, or find it as it was made.

    Raises: LedgerNotServing.
    """
    async with container.opened(tree, name="billfold sandbox") as parts:
        await _ledger_served(parts.ledger)
        await _tokens(parts.ledger, tree)
        api_key, principal = await _key(parts.identity, tree.data_dir / KEY_FILE)
        ada = await _wallet(parts.wallets, principal, "Ada")
        bob = await _wallet(parts.wallets, principal, "Bob")
    return Sandbox(api_key=api_key, example=_example(tree.api, api_key, ada, bob))


async def _tokens(ledger: Ledger, tree: settings.Settings) -> None:
    """Make the test tokens of local chains assets, so that somebody who is sent one has it."""
    for token in TOKENS:
        section: settings.Chain = getattr(tree, token.chain or "")
        if section.network == "sandbox" and token.contract in (section.tokens or "").split(","):
            with contextlib.suppress(AssetExists):
                await ledger.add_asset(asset=token)


async def _ledger_served(ledger: Ledger) -> None:
    """Pass when it serves; a ledger of another process may be starting, too."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LEDGER_PATIENCE_S
    while True:
        try:
            await ledger.check()
            break
        except Unavailable as error:
            if loop.time() > deadline:
                raise LedgerNotServing(
                    f"{_ledger_unusable(error)} Its log says "
                    "why. Its postgres.dsn must be that of this stack now, whose PostgreSQL has another port at each "
                    f"start unless {settings.variable('postgres.port')} is set."
                ) from error
        await asyncio.sleep(LEDGER_POLL_S)
    try:
        # Its health is for everybody; whether it lets us in shows when it is asked for something.
        await ledger.now()
    except Unavailable as error:
        # What has refused us is told to nobody but whoever starts the stack.
        if isinstance(error.__cause__, Denied):
            raise LedgerNotServing(_ledger_unusable(error.__cause__)) from error
        raise


def _ledger_unusable(why: BillfoldError) -> str:
    return f"The ledger of {settings.variable('ledger.address')} can't be used: {why.detail}"


async def _key(identity: Identity, file: Path) -> tuple[str, Principal]:
    """The key of the file while it is good, else a new one."""
    kept = _kept(file)
    if kept is not None:
        with contextlib.suppress(errors.ApiKeyInvalid):  # It was revoked, or belongs to a database that is no more.
            return kept, await identity.authenticate(kept.encode())
    made = await identity.keys.bootstrap(owner_name=OWNER)
    host.write_private(file, made)
    return made, await identity.authenticate(made.encode())


def _kept(file: Path) -> str | None:
    return file.read_text(encoding="utf-8").strip() if file.exists() else None


async def _wallet(wallets: Wallets, principal: Principal, name: str) -> str:
    new = NewWallet(name=name, external_id=f"sandbox-{name.lower()}")
    wallet, _ = await wallets.registry.create(principal=principal, new=new)
    opening = Order(kind="deposit", target=wallet.id, money=OPENING, reference="opening balance")
    await wallets.movements.move(principal=principal, order=opening, key=f"sandbox-opening-{wallet.id}")
    return wallet.id


def _example(api: settings.Api, api_key: str, source: str, target: str) -> str:
    trust = "" if api.tls_certificate is None else f"--cacert {shlex.quote(str(api.tls_certificate))} "
    return f"""\
curl -sS {trust}{api.local_url}/api/v1/transfers \\
  -H 'Authorization: Bearer {api_key}' \\
  -H 'Content-Type: application/json' -H "Idempotency-Key: try-$(date +%s%N)" \\
  -d '{{"from": "{source}", "to": "{target}", "money": {{"amount": "12.34", "asset": "USD"}}, "reference": "lunch"}}'"""
