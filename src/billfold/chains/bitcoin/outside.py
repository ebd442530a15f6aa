"""Bitcoin with its keys elsewhere: PSBTs go out with what a hardware wallet asks for, and come back signed.

All is below one account, m/84'/coin'/account', so that a wallet program that knows the same public key shows all of it:

    deposit  …/0/i
    change   …/1/2i
    hot      …/1/2i+1
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import coincurve
import msgspec
from coincurve.ecdsa import cdata_to_der, der_to_cdata
from embit import base58
from embit.psbt import PSBT
from embit.script import Script, p2pkh_from_p2wpkh
from embit.transaction import Transaction as Signable

from billfold.chains import errors, extended
from billfold.chains.bitcoin import addresses as forms
from billfold.chains.bitcoin import psbt, transactions
from billfold.chains.bitcoin.psbt import Origin, Spending
from billfold.chains.bitcoin.transactions import Malformed
from billfold.chains.outside_port import Form, PublicKey
from billfold.chains.port import Network, Signed
from billfold.chains.signing_port import Place, Purpose

FORM: Form = "psbt"
#: A coin stays good until somebody spends it.
EXPIRES = False
#: What begins the public key of an account, by BIP-32 and by SLIP-132 for the addresses of BIP-84.
_PLAIN = {"main": bytes.fromhex("0488b21e"), "test": bytes.fromhex("043587cf"), "sandbox": bytes.fromhex("043587cf")}
_BIP84 = {"main": bytes.fromhex("04b24746"), "test": bytes.fromhex("045f1cf6"), "sandbox": bytes.fromhex("045f1cf6")}
#: Branch of the account, and of so many in a row the which one.
_BRANCHES: dict[Purpose, tuple[int, int, int]] = {"deposit": (0, 1, 0), "change": (1, 2, 0), "hot": (1, 2, 1)}
#: It covers all inputs and outputs (BIP-143).
_SIGHASH_ALL = 1

#: As much as the signer takes, in hexadecimal, with room for signatures.
_TEXT_MAX = 2 * psbt.BYTES_MAX

Witness = Sequence[bytes]


def checked(public: str, *, network: Network) -> str:
    """The public key of an account as SLIP-132 writes it.

    Raises:
        PublicKeyInvalid.
    """
    account = extended.read(public)
    if account.version not in (_PLAIN[network], _BIP84[network]):
        own = "zpub or xpub" if network == "main" else "vpub or tpub"
        raise errors.PublicKeyInvalid(f"Here a key of BIP-84 is wanted, which begins with {own}.")
    data: bytes = base58.decode_check(public.strip())
    return str(base58.encode_check(_BIP84[network] + data[4:]))


def path(public: str, place: Place, *, network: Network) -> str:
    """The derivation path."""
    coin = 0 if network == "main" else 1
    branch, index = _steps(place.purpose, place.index)
    return f"m/84'/{coin}'/{extended.read(public).number}'/{branch}/{index}"


def addresses(public: str, *, purpose: Purpose, first: int, count: int, network: Network) -> list[str]:
    """The addresses of `count` places in a row."""
    account = extended.read(public)
    places = (_steps(purpose, first + number) for number in range(count))
    return [forms.address_of_key(extended.descendant(account, *steps), network) for steps in places]


def listed(text: str, *, network: Network) -> str:
    """An address of a single key.

    Raises:
        AddressInvalid.
    """
    if not forms.is_of_key(forms.script_of(text, network)):
        raise errors.AddressInvalid("Only addresses of single keys, as in BIP-84, can be paid from.")
    return forms.canonical(text, network)


def shown(payload: bytes, *, network: Network, public: PublicKey | None, places: Mapping[str, Place]) -> str:
    """The PSBT in base64, with where keys come from as far as that is known."""
    spending = psbt.read(payload)
    origins = {}
    if public is not None and public.fingerprint is not None:
        account, coin = extended.read(public.text), 0 if network == "main" else 1
        above = tuple(extended.HARDENED + each for each in (84, coin, account.number))
        for address, place in places.items():
            steps = _steps(place.purpose, place.index)
            key = extended.descendant(account, *steps)
            origin = Origin(key, bytes.fromhex(public.fingerprint), (*above, *steps))
            origins[forms.script_of(address, network)] = origin
    return base64.b64encode(psbt.written(spending, origins)).decode()


def accepted(payload: bytes, signed: str, *, network: Network) -> Signed:  # noqa: ARG001 - coins say which network it is
    """A PSBT in base64, final or with its signatures, or a transaction in hexadecimal.

    Raises:
        SignedUnreadable, SignedDiffers, SignatureMissing, SignatureWrong.
    """
    spending = psbt.read(payload)
    witnesses = _witnesses(spending, _bytes(signed))
    digests = Signable.parse(spending.transaction.raw)
    inputs = [
        msgspec.structs.replace(each, witness=_checked(spending, number, witness, digests))
        for number, (each, witness) in enumerate(zip(spending.transaction.inputs, witnesses, strict=True))
    ]
    made = transactions.write(inputs=inputs, outputs=spending.transaction.outputs, version=psbt.VERSION)
    return Signed(raw=made.raw, chain_tx=made.txid)


def named(payload: bytes) -> str | None:
    """The id, of which signatures are no part."""
    return psbt.read(payload).transaction.txid


def _steps(purpose: Purpose, index: int) -> tuple[int, int]:
    if purpose not in _BRANCHES:
        raise errors.AddressInvalid(f"Bitcoin has no addresses for {purpose}.")
    branch, stride, offset = _BRANCHES[purpose]
    return branch, index * stride + offset


def _bytes(signed: str) -> bytes:
    text = signed.strip()
    if len(text) > _TEXT_MAX:
        raise errors.SignedUnreadable("This is larger than any transaction.")
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise errors.SignedUnreadable("This is neither a PSBT in base64 nor a transaction in hexadecimal.") from error


def _witnesses(spending: Spending, data: bytes) -> list[Witness]:
    """What unlocks each input, if it is this transaction; without anything else that was said of it."""
    try:
        if data.startswith(psbt.MAGIC):
            parsed = PSBT.parse(data)
            same = parsed.tx.serialize() == spending.transaction.raw
            found = [_of_input(each) for each in parsed.inputs]
        else:
            given = transactions.transaction(data)
            # A script beside the witness would make it another transaction, with another id.
            same = transactions.bare(given).raw == spending.transaction.raw
            found = [each.witness for each in given.inputs]
    except errors.ChainError:
        raise
    except Malformed as error:
        raise errors.SignedUnreadable(f"The transaction can't be read: {error}.") from error
    except Exception as error:
        # embit raises whatever it stumbles over.
        raise errors.SignedUnreadable("The PSBT can't be read.") from error
    if not same:
        raise errors.SignedDiffers
    return found


def _of_input(given: object) -> Witness:
    final = getattr(given, "final_scriptwitness", None)
    if getattr(given, "final_scriptsig", None) is not None and given.final_scriptsig.data:  # type: ignore[attr-defined]
        raise errors.SignedUnreadable("An input has a script, which none of ours needs.")
    if final is not None:
        return [bytes(each) for each in final.items]
    partial: Mapping[object, bytes] = given.partial_sigs  # type: ignore[attr-defined] # embit has no types
    if len(partial) > 1:
        raise errors.SignatureWrong("An input has more than one signature.")
    return [part for key, signature in partial.items() for part in (bytes(signature), key.sec())]  # type: ignore[attr-defined]


def _checked(spending: Spending, number: int, witness: Witness, digests: Signable) -> tuple[bytes, bytes]:
    if not witness:
        raise errors.SignatureMissing(f"Input {number} is not signed.")
    if len(witness) != 2:  # noqa: PLR2004 - signature and key (BIP-141)
        raise errors.SignatureWrong(f"Input {number} is unlocked by something else than a signature and a key.")
    signature, key = witness
    spent = spending.spent[number]
    if forms.script_of_key(key) != spent.script:
        raise errors.SignatureWrong(f"Input {number} is signed by another key than that of its address.")
    digest = digests.sighash_segwit(number, p2pkh_from_p2wpkh(Script(spent.script)), spent.value)
    if signature[-1:] != bytes([_SIGHASH_ALL]) or not _verified(key, signature[:-1], digest):
        raise errors.SignatureWrong(f"The signature of input {number} is not good for this transaction, all of it.")
    return signature, key


def _verified(key: bytes, signature: bytes, digest: bytes) -> bool:
    """Whether it is one in the one form that nodes pass on: strict DER (BIP-66), and of the two the lower (BIP-146)."""
    try:
        strict = cdata_to_der(der_to_cdata(signature)) == signature
        return strict and coincurve.PublicKey(key).verify(signature, digest, hasher=None)
    except ValueError:
        return False
