"""People who have the keys of a chain and sign what they are handed, by libraries that we did not write."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import rlp  # type: ignore[import-untyped]  # it has no types
from bip_utils import Bip32Slip10Secp256k1
from embit import bip32
from embit.networks import NETWORKS
from embit.psbt import PSBT
from eth_account import Account
from solders.keypair import Keypair as SolanaKeypair
from solders.message import from_bytes_versioned
from solders.transaction import VersionedTransaction
from stellar_sdk import FeeBumpTransactionEnvelope
from stellar_sdk import Keypair as StellarKeypair

from billfold.chains.stellar.networks import PASSPHRASES
from billfold.custody import Custody
from billfold.custody.contracts import Exported

SEED = bytes(range(7, 71))
LISTED = 3


@dataclass
class Outsider:
    """Somebody with keys: what they give of these, and how they sign."""

    public_key: str | None
    fingerprint: str | None
    sign: Callable[[Exported], str]
    hot: str | None = None
    deposits: list[str] = field(default_factory=list)

    async def introduce(self, custody: Custody, chain: str) -> None:
        """Import what is known of the keys."""
        if self.public_key is not None:
            await custody.elsewhere.import_public_key(
                chain=chain, public_key=self.public_key, fingerprint=self.fingerprint
            )
        if self.hot is not None:
            await custody.elsewhere.import_addresses(chain=chain, purpose="hot", addresses=[self.hot])
        if self.deposits:
            await custody.elsewhere.import_addresses(chain=chain, purpose="deposit", addresses=self.deposits)

    async def sign_all(self, custody: Custody, chain: str) -> list[Exported]:
        """Sign whatever waits."""
        done = []
        for one in await custody.withdrawals.outside.waiting(chain=chain):
            exported = await custody.withdrawals.outside.export(tx_id=one.id)
            await custody.withdrawals.outside.accept(tx_id=one.id, signed=self.sign(exported))
            done.append(exported)
        return done


def bitcoin() -> Outsider:
    root = bip32.HDKey.from_seed(SEED, version=NETWORKS["regtest"]["xprv"])
    account = root.derive("m/84h/1h/0h").to_public()

    def sign(given: Exported) -> str:
        psbt = PSBT.from_string(given.unsigned)
        # By fingerprint and path alone, as a hardware wallet finds its keys.
        assert psbt.sign_with(root) == len(psbt.inputs)
        return str(psbt)

    fingerprint = root.child(0).fingerprint.hex()
    return Outsider(account.to_base58(version=NETWORKS["regtest"]["zpub"]), fingerprint, sign)


def ethereum() -> Outsider:
    root = Bip32Slip10Secp256k1.FromSeed(SEED)
    account = root.DerivePath("44'/60'/0'").PublicKey().ToExtended()

    def sign(given: Exported) -> str:
        (needed,) = given.keys
        assert needed.path is not None
        key = Account.from_key(root.DerivePath(needed.path[2:]).PrivateKey().Raw().ToBytes())
        assert key.address == needed.address
        names = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "data")
        fields = dict(zip(names, rlp.decode(bytes.fromhex(given.unsigned[4:])), strict=False))
        asked = {
            name: value if name in ("to", "data") else int.from_bytes(value, "big") for name, value in fields.items()
        }
        return str(key.sign_transaction({"type": 2, **asked}).raw_transaction.hex())

    return Outsider(account, None, sign)


def solana(pairs: Sequence[SolanaKeypair] = ()) -> Outsider:
    pairs = pairs or [SolanaKeypair.from_seed(bytes([number]) * 32) for number in range(1, LISTED + 2)]
    by_address: Mapping[str, SolanaKeypair] = {str(pair.pubkey()): pair for pair in pairs}

    def sign(given: Exported) -> str:
        (needed,) = given.keys
        message = from_bytes_versioned(base64.b64decode(given.unsigned))
        return base64.b64encode(bytes(VersionedTransaction(message, [by_address[needed.address]]))).decode()

    hot, *deposits = by_address
    return Outsider(None, None, sign, hot, deposits)


def stellar() -> Outsider:
    pair = StellarKeypair.random()

    def sign(given: Exported) -> str:
        envelope = FeeBumpTransactionEnvelope.from_xdr(given.unsigned, PASSPHRASES["sandbox"])
        envelope.transaction.inner_transaction_envelope.sign(pair)
        envelope.sign(pair)
        return envelope.to_xdr()

    return Outsider(None, None, sign, pair.public_key)


OUTSIDERS: Mapping[str, Callable[[], Outsider]] = {
    "bitcoin": bitcoin,
    "ethereum": ethereum,
    "solana": solana,
    "stellar": stellar,
}
