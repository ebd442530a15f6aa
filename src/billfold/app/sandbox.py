"""What a newcomer finds in a fresh stack: an API key with every scope, two wallets with money in them, and a curl.

The key is kept in the data folder, where only its owner may read it, so that it stays the same from start to start.
"""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

from billfold.app import container, settings
from billfold.app.supervisor.stack import Sandbox
from billfold.identity import Identity, errors
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.platform import host
from billfold.wallets import Wallets
from billfold.wallets.contracts import NewWallet, Order

OWNER = "sandbox"
KEY_FILE = "sandbox.key"
#: Enough to play with for a while.
OPENING = Money("1000.00", "USD")


async def prepare(tree: settings.Settings) -> Sandbox:
    """Make the sandbox, or find it as it was made."""
    async with container.opened(tree, name="billfold sandbox") as parts:
        api_key, principal = await _key(parts.identity, tree.data_dir / KEY_FILE)
        ada = await _wallet(parts.wallets, principal, "Ada")
        bob = await _wallet(parts.wallets, principal, "Bob")
    return Sandbox(api_key=api_key, example=_example(tree.api, api_key, ada, bob))


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
