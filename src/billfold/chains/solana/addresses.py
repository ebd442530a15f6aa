"""Solana's addresses: as they are written, and what is there.

Any 32 bytes in base 58 are an address, without a checksum: a mistyped one is often valid. What can be known of it the
chain knows, so `examine` looks there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from solders.pubkey import Pubkey
from solders.token.state import TokenAccount, TokenAccountState

from billfold.chains.errors import AddressInvalid, NodeWrong
from billfold.chains.port import Destination
from billfold.chains.solana import orders
from billfold.chains.solana.node import Node
from billfold.chains.solana.records import Account

#: 32 bytes have between 32 and 44 characters in base 58.
_LENGTH_MIN, _LENGTH_MAX = 32, 44
#: More is not written on a chain with a payment; a transaction has 1,232 bytes in all.
MEMO_BYTES_MAX = 500
_SYSTEM, _TOKEN = str(orders.SYSTEM), str(orders.TOKEN)
_TOKENS = frozenset({_TOKEN, str(orders.TOKEN_2022)})
#: What is sent there is burnt.
_INCINERATOR = "1nc1nerator11111111111111111111111111111111"
_FOREIGN = {"0x": "Ethereum", "bc1": "Bitcoin", "tb1": "Bitcoin", "bcrt1": "Bitcoin"}

_SENTENCES: Mapping[str, str] = {
    "burns": "What is sent there is burnt.",
    "program": "A program is there, which pays nothing back.",
    "token_account": "This is an account that holds tokens; give the address of its owner.",
    "mint": "This is a token's mint, which pays nothing back.",
    "of_a_program": "The account there belongs to a program.",
    "off_curve": "No key belongs to this address, and nothing is there yet.",
    "below_rent": "The first payment to an address has to be at least {least} lamports.",
    "token_unknown": "This token is not among those that are supported.",
    "token_frozen": "The receiver's account for this token is frozen.",
    "token_elsewhere": "Where the receiver's account for this token should be is something else.",
    "memo_long": "The memo has more than {least} bytes.",
}


def canonical(text: str) -> str:
    """The address in its one form.

    Raises:
        AddressInvalid: it is none; it says what is wrong.
    """
    for start, chain in _FOREIGN.items():
        if text.lower().startswith(start):
            raise AddressInvalid(f"This looks like an address of {chain}, not of Solana.")
    if not _LENGTH_MIN <= len(text) <= _LENGTH_MAX:
        raise AddressInvalid("An address of Solana has 32 to 44 characters.")
    try:
        found = str(Pubkey.from_string(text))
    except ValueError:
        raise AddressInvalid("This is not base 58 of 32 bytes, as an address of Solana is.") from None
    if found != text:
        raise AddressInvalid("This is not base 58 of 32 bytes, as an address of Solana is.")
    return found


async def examine(
    node: Node, tokens: Collection[str], address: str, *, memo: str | None, token: str | None, amount: int
) -> Destination:
    """What would become of a payment.

    Raises:
        AddressInvalid, NodeUnavailable, NodeWrong.
    """
    address = canonical(address)
    if memo is not None and len(memo.encode()) > MEMO_BYTES_MAX:
        return _bad(address, memo, "memo_long", MEMO_BYTES_MAX)
    there = await node.account(address)
    obstacle = _obstacle(address, there)
    if obstacle in {None, "off_curve"} and token is not None:
        return await _with_token(node, tokens, address, memo=memo, token=token, obstacle=obstacle)
    if obstacle is not None:
        return _bad(address, memo, obstacle)
    least = await node.rent(0)
    if (there.lamports if there else 0) + amount < least:
        return _bad(address, memo, "below_rent", least)
    return Destination(address=address, memo=memo)


def _obstacle(address: str, there: Account | None) -> str | None:
    """Why nobody should be paid there, whatever it is."""
    if address == _INCINERATOR:
        return "burns"
    if there is None:
        return None if Pubkey.from_string(address).is_on_curve() else "off_curve"
    if there.executable:
        return "program"
    if there.owner in _TOKENS:
        return "mint" if there.space == orders.MINT_BYTES else "token_account"
    return None if there.owner == _SYSTEM and not there.space else "of_a_program"


async def _with_token(
    node: Node, tokens: Collection[str], address: str, *, memo: str | None, token: str, obstacle: str | None
) -> Destination:
    """Tokens are in an account of their own, which is opened with the first payment; its rent is paid by the sender."""
    if token not in tokens:
        return _bad(address, memo, "token_unknown")
    held = await node.account(str(orders.token_account(address, token)))
    if held is None or not held.space:
        if obstacle is not None:
            return _bad(address, memo, obstacle)
        return Destination(address=address, memo=memo, opening=await opening_rent(node))
    found = token_account(held)
    if found is None or str(found.owner) != address or str(found.mint) != token:
        return _bad(address, memo, "token_elsewhere")
    if found.state == TokenAccountState.Frozen:
        return _bad(address, memo, "token_frozen")
    return Destination(address=address, memo=memo)


async def opening_rent(node: Node) -> int:
    """What opening a token account takes.

    Raises:
        NodeWrong: more than is known of the chain; what a transaction costs at most would be wrong.
    """
    rent = await node.rent(orders.TOKEN_ACCOUNT_BYTES)
    if rent > orders.TOKEN_ACCOUNT_RENT:
        raise NodeWrong(f"A node wants {rent} lamports of rent for a token account, more than is known of Solana.")
    return rent


def token_account(held: Account) -> TokenAccount | None:
    """What is in an account of the token program; None if it is none."""
    if held.owner != _TOKEN or len(held.data) != orders.TOKEN_ACCOUNT_BYTES:
        return None
    try:
        return TokenAccount.from_bytes(held.data)
    except ValueError:
        return None


def _bad(address: str, memo: str | None, obstacle: str, least: int = 0) -> Destination:
    detail = _SENTENCES[obstacle].format(least=least)
    return Destination(address=address, memo=memo, obstacle=obstacle, obstacle_detail=detail)
