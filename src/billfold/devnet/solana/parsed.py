"""`jsonParsed`: instructions and accounts of the programs that move money, in words. Others stay as they are."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey
from solders.token.state import Mint, TokenAccountState

from billfold.devnet.solana import base58, engine

_SYSTEM = str(engine.SYSTEM)
_TOKENS = {str(engine.TOKEN): "spl-token", str(engine.TOKEN_2022): "spl-token-2022"}
_ASSOCIATED = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
_MEMO = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
_MINT_BYTES = 82


def instruction(program: str, accounts: Sequence[str], data: bytes, height: int) -> dict[str, Any]:
    """An instruction in words where we know them."""
    try:
        name, said = _said(program, accounts, data)
    except (struct.error, IndexError, UnicodeDecodeError):
        name, said = "", None
    if said is None:
        return {
            "programId": program,
            "accounts": list(accounts),
            "data": base58.encode(data),
            "stackHeight": height,
        }
    return {"program": name, "programId": program, "parsed": said, "stackHeight": height}


def account(of: Account, *, mint: Callable[[Pubkey], Mint | None]) -> dict[str, Any] | None:
    """An account of the token program in words; None if it is none."""
    program = _TOKENS.get(str(of.owner))
    if program is None:
        return None
    if len(of.data) == _MINT_BYTES:
        read = Mint.from_bytes(of.data)
        info: dict[str, Any] = {
            "mintAuthority": _text(read.mint_authority),
            "supply": str(read.supply),
            "decimals": read.decimals,
            "isInitialized": read.is_initialized,
            "freezeAuthority": _text(read.freeze_authority),
        }
        return {"program": program, "parsed": {"type": "mint", "info": info}, "space": len(of.data)}
    held = engine.token_account(of)
    made = mint(held.mint) if held else None
    if held is None or made is None:
        return None
    info = {
        "mint": str(held.mint),
        "owner": str(held.owner),
        "tokenAmount": token_amount(held.amount, made.decimals),
        "state": "frozen" if held.state == TokenAccountState.Frozen else "initialized",
        "isNative": held.is_native is not None,
    }
    return {"program": program, "parsed": {"type": "account", "info": info}, "space": len(of.data)}


def token_amount(amount: int, decimals: int) -> dict[str, Any]:
    """An amount of a token, told in four ways."""
    exact = Decimal(amount).scaleb(-decimals)
    text = f"{exact:f}".rstrip("0").rstrip(".") if decimals else str(amount)
    return {"amount": str(amount), "decimals": decimals, "uiAmount": float(exact), "uiAmountString": text}


def _said(program: str, accounts: Sequence[str], data: bytes) -> tuple[str, Any]:
    if program == _SYSTEM:
        return "system", _system(accounts, data)
    if program in _TOKENS:
        return _TOKENS[program], _token(accounts, data)
    if program == _ASSOCIATED:
        return "spl-associated-token-account", _associated(accounts, data)
    if program == _MEMO:
        return "spl-memo", data.decode()
    return "", None


def _system(accounts: Sequence[str], data: bytes) -> Any:
    (kind,) = struct.unpack_from("<I", data)
    if kind == 2:  # noqa: PLR2004 - numbers of SystemInstruction
        (lamports,) = struct.unpack_from("<Q", data, 4)
        return {"type": "transfer", "info": {"source": accounts[0], "destination": accounts[1], "lamports": lamports}}
    if kind == 0:
        lamports, space = struct.unpack_from("<QQ", data, 4)
        info = {"source": accounts[0], "newAccount": accounts[1], "lamports": lamports, "space": space}
        return {"type": "createAccount", "info": info | {"owner": base58.encode(data[20:52])}}
    if kind == 4:  # noqa: PLR2004
        info = {"nonceAccount": accounts[0], "recentBlockhashesSysvar": accounts[1], "nonceAuthority": accounts[2]}
        return {"type": "advanceNonce", "info": info}
    return None


def _token(accounts: Sequence[str], data: bytes) -> Any:
    if data[0] == 3:  # noqa: PLR2004 - numbers of TokenInstruction
        (amount,) = struct.unpack_from("<Q", data, 1)
        info: dict[str, Any] = {"source": accounts[0], "destination": accounts[1], "authority": accounts[2]}
        return {"type": "transfer", "info": info | {"amount": str(amount)}}
    if data[0] == 7:  # noqa: PLR2004
        (amount,) = struct.unpack_from("<Q", data, 1)
        info = {"mint": accounts[0], "account": accounts[1], "mintAuthority": accounts[2], "amount": str(amount)}
        return {"type": "mintTo", "info": info}
    if data[0] == 12:  # noqa: PLR2004
        amount, decimals = struct.unpack_from("<QB", data, 1)
        info = {"source": accounts[0], "mint": accounts[1], "destination": accounts[2], "authority": accounts[3]}
        return {"type": "transferChecked", "info": info | {"tokenAmount": token_amount(amount, decimals)}}
    return None


def _associated(accounts: Sequence[str], data: bytes) -> Any:
    names = ("source", "account", "wallet", "mint", "systemProgram", "tokenProgram")
    kind = {b"": "create", b"\0": "create", b"\1": "createIdempotent"}.get(data)
    return kind and {"type": kind, "info": dict(zip(names, accounts, strict=False))}


def _text(key: Pubkey | None) -> str | None:
    return str(key) if key is not None else None
