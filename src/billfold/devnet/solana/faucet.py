"""Where play money comes from: an account that holds nearly all coins, and a token of which it makes what it likes.

Their keys come from words in this file, so they are known to everybody and the same everywhere: settings can name the
token before the chain was ever started.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation

from solders.account import Account
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.token.associated import get_associated_token_address
from solders.token.state import Mint
from solders.transaction import VersionedTransaction

from billfold.devnet import serving
from billfold.devnet.solana.engine import SYSTEM, TOKEN

SCALE = 9
#: About what there is of the real coin.
SUPPLY = 500_000_000 * 10**SCALE
#: What one may ask for at once, in whole coins or tokens.
AT_ONCE_MAX = 1_000_000
TOKEN_SCALE = 6
_ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
_MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
_MINT_BYTES = 82
_CREATE_IDEMPOTENT = bytes([1])
_MINT_TO = bytes([7])
#: More than all its instructions need; what is above it makes each transaction another one.
_UNITS = 100_000
_UNITS_VARIANTS = 100_000

_KEY = Keypair.from_seed(hashlib.sha256(b"billfold devnet solana faucet").digest())
#: The test token "USDC": this is its mint on every such chain.
USDC = Keypair.from_seed(hashlib.sha256(b"billfold devnet solana USDC").digest()).pubkey()


def genesis(rent: Callable[[int], int]) -> Sequence[tuple[Pubkey, Account]]:
    """The accounts that are there before the first block."""
    mint = Mint(_KEY.pubkey(), 0, TOKEN_SCALE, is_initialized=True, freeze_authority=None)
    return [
        (_KEY.pubkey(), Account(SUPPLY, b"", SYSTEM)),
        (USDC, Account(rent(_MINT_BYTES), bytes(mint), TOKEN)),
    ]


def units(amount: str, *, scale: int) -> int:
    """The smallest units of decimal text.

    Raises:
        DevnetError: it is no amount, or too much.
    """
    try:
        exact = Decimal(amount).scaleb(scale)
        whole = int(exact)
    except (InvalidOperation, ValueError, OverflowError):
        raise serving.DevnetError("The amount is a decimal number.") from None
    if exact != whole or not 0 < whole <= AT_ONCE_MAX * 10**scale:
        raise serving.DevnetError(f"The amount is above 0, at most {AT_ONCE_MAX}, and has at most {scale} decimals.")
    return whole


def coins(to: Pubkey, lamports: int, *, blockhash: str, variant: int, memo: str | None = None) -> VersionedTransaction:
    """Sends lamports. `variant` makes it differ from the same one asked for before."""
    paying = transfer(TransferParams(from_pubkey=_KEY.pubkey(), to_pubkey=to, lamports=lamports))
    return _signed([paying], blockhash=blockhash, variant=variant, memo=memo)


def tokens(to: Pubkey, amount: int, *, blockhash: str, variant: int, memo: str | None = None) -> VersionedTransaction:
    """Makes tokens in the associated account of `to`, and that account where it is not there."""
    account = get_associated_token_address(to, USDC, TOKEN)
    payer = _KEY.pubkey()
    opening = [
        AccountMeta(payer, is_signer=True, is_writable=True),
        AccountMeta(account, is_signer=False, is_writable=True),
        *[AccountMeta(key, is_signer=False, is_writable=False) for key in (to, USDC, SYSTEM, TOKEN)],
    ]
    minting = [
        AccountMeta(USDC, is_signer=False, is_writable=True),
        AccountMeta(account, is_signer=False, is_writable=True),
        AccountMeta(payer, is_signer=True, is_writable=False),
    ]
    instructions = [
        Instruction(_ASSOCIATED, _CREATE_IDEMPOTENT, opening),
        Instruction(TOKEN, _MINT_TO + amount.to_bytes(8, "little"), minting),
    ]
    return _signed(instructions, blockhash=blockhash, variant=variant, memo=memo)


def _signed(instructions: list[Instruction], *, blockhash: str, variant: int, memo: str | None) -> VersionedTransaction:
    noted = [Instruction(_MEMO, memo.encode(), [])] if memo else []
    limit = set_compute_unit_limit(_UNITS + variant % _UNITS_VARIANTS)
    message = Message.new_with_blockhash([limit, *instructions, *noted], _KEY.pubkey(), Hash.from_string(blockhash))
    return VersionedTransaction(message, [_KEY])
