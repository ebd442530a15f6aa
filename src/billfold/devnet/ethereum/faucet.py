"""The money of the local chain: who has it, how it is sent, and a token like those of real chains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from eth_abi import abi as codec
from eth_account import Account
from eth_utils import abi, address, crypto

from billfold.devnet.serving import DevnetError
from billfold.kernel import errors, money

#: Not a secret: the key of the first account of the mnemonic that all tools for local chains share.
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
#: A hundred million coins, about what the real chain has.
RICHES = 10**26
COIN_SCALE = 18
#: What the first transaction of `ADDRESS` makes, so it is the same on every local chain.
USDC = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
USDC_SCALE = 6
#: So that no balance overflows, however often somebody asks.
_UNITS_MAX = 2**200
#: A tip as on a calm day.
TIP = 10**9
GAS_TO_DEPLOY = 2_000_000
#: To a contract that does something on receipt.
GAS_TO_PAY = 200_000


def usdc() -> bytes:
    """What makes the token: the compiled Token.sol with its name, symbol and decimals."""
    codes: dict[str, str] = msgspec.json.decode((Path(__file__).parent / "Token.json").read_bytes())
    told = codec.encode(["string", "string", "uint8"], ["USD Coin (local)", "USDC", USDC_SCALE])
    return bytes.fromhex(codes["Token"].removeprefix("0x")) + told


def payment(to: str, amount: str, token: str | None) -> dict[str, Any]:
    """A transaction's destination, value and data.

    Raises:
        DevnetError: not an address, not an amount, or a token that the faucet can't make.
    """
    if not address.is_address(to) or (to not in (to.lower(), to.upper()) and not address.is_checksum_address(to)):
        raise DevnetError(f"{to} is not an address of Ethereum")
    if token is None:
        return {"to": address.to_checksum_address(to), "value": _smallest(amount, COIN_SCALE), "data": b""}
    if token.lower() != USDC.lower():
        raise DevnetError(f"the faucet has no token {token}; it has {USDC}")
    data = abi.function_signature_to_4byte_selector("mint(address,uint256)")
    data += codec.encode(["address", "uint256"], [to, _smallest(amount, USDC_SCALE)])
    return {"to": USDC, "value": 0, "data": data}


def signed(what: dict[str, Any], *, nonce: int, base_fee: int, gas: int, chain_id: int) -> tuple[str, str]:
    """Hash and bytes of a transaction of the faucet's."""
    fees = {"maxFeePerGas": 2 * base_fee + TIP, "maxPriorityFeePerGas": TIP}
    made = Account.sign_transaction(what | fees | {"type": 2, "nonce": nonce, "gas": gas, "chainId": chain_id}, KEY)
    raw = bytes(made.raw_transaction)
    return hash_of(raw), "0x" + raw.hex()


def hash_of(raw: bytes) -> str:
    """Under which a transaction is known."""
    return "0x" + crypto.keccak(raw).hex()


def _smallest(amount: str, scale: int) -> int:
    try:
        units = money.parse(amount, scale)
    except errors.Invalid as error:
        raise DevnetError(f"{amount}: {error.detail}") from error
    if not 0 < units <= _UNITS_MAX:
        raise DevnetError(f"{amount} is not an amount that can be sent")
    return units
