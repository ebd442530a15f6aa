"""Examples for the OpenAPI document: one small story in which Ada pays Bob."""

from typing import Any

ADA = "019aa2c6-7a00-7000-8000-00000000a001"
BOB = "019aa2c6-7a00-7000-8000-00000000a002"
OWNER = "019aa2c6-7a00-7000-8000-00000000b001"
TRANSFER_ID = "019aa2c6-7a00-7000-8000-00000000c001"
HOLD_ID = "019aa2c6-7a00-7000-8000-00000000d001"
AT = "2026-01-31T12:00:00.123456Z"
MONEY = {"amount": "12.34", "asset": "USD"}
TEXTS = {"reference": "invoice 4711", "description": "Two coffees", "metadata": {"order": "4711"}}

WALLET: dict[str, Any] = {
    "id": ADA,
    "owner_id": OWNER,
    "name": "Ada's savings",
    "external_id": "customer-4711",
    "status": "open",
    "metadata": {"tier": "gold"},
    "created_at": AT,
    "assets": ["USD"],
    "accounts": {"USD": "019aa2c6-7a00-7000-8000-00000000d001"},
}
ORDER: dict[str, Any] = {"from": ADA, "to": BOB, "money": MONEY, **TEXTS}
TRANSFER: dict[str, Any] = {
    "id": TRANSFER_ID,
    "kind": "transfer",
    "from": ADA,
    "to": BOB,
    "money": MONEY,
    **TEXTS,
    "effective_at": AT,
    "recorded_at": AT,
    "from_version": 7,
    "from_balance": "87.66",
}
DEPOSIT: dict[str, Any] = {
    "id": TRANSFER_ID,
    "kind": "deposit",
    "from": "outside",
    "to": ADA,
    "money": MONEY,
    **TEXTS,
    "effective_at": AT,
    "recorded_at": AT,
    "to_version": 7,
    "to_balance": "100.00",
}
WITHDRAWAL: dict[str, Any] = {
    "id": TRANSFER_ID,
    "kind": "withdrawal",
    "from": ADA,
    "to": "outside",
    "money": MONEY,
    **TEXTS,
    "effective_at": AT,
    "recorded_at": AT,
    "from_version": 7,
    "from_balance": "87.66",
}
REVERSAL: dict[str, Any] = {
    "id": TRANSFER_ID,
    "kind": "reversal",
    "from": BOB,
    "to": ADA,
    "money": MONEY,
    "reference": "invoice 4711",
    "description": "",
    "metadata": {},
    "effective_at": AT,
    "recorded_at": AT,
    "from_version": 7,
    "from_balance": "0.00",
}
HOLD: dict[str, Any] = {
    "id": HOLD_ID,
    "wallet": ADA,
    "money": MONEY,
    "settled": "0.00",
    "remaining": "12.34",
    "status": "active",
    "reference": "booking 17",
    "description": "",
    "expires_at": "2026-02-28T00:00:00Z",
    "created_at": AT,
    "ended_at": None,
}
TRANSACTION: dict[str, Any] = {
    "id": TRANSFER_ID,
    "wallet": ADA,
    "kind": "transfer",
    "direction": "out",
    "money": MONEY,
    "balance": "87.66",
    "counterparty": BOB,
    "status": "completed",
    **TEXTS,
    "effective_at": AT,
    "recorded_at": AT,
}
ASSET: dict[str, Any] = {
    "code": "USDC",
    "scale": 6,
    "kind": "token",
    "name": "USD Coin",
    "chain": "ethereum",
    "contract": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
}
REQUEST: dict[str, Any] = {
    "id": "019aa2c6-7a00-7000-8000-00000000f001",
    "kind": "transfer",
    "status": "completed",
    "from": ADA,
    "to": BOB,
    "money": MONEY,
    **TEXTS,
    "accepted_at": AT,
    "expires_at": "2026-01-31T13:00:00.123456Z",
    "started_at": "2026-01-31T12:00:00.128456Z",
    "ended_at": "2026-01-31T12:00:00.134456Z",
    "tries": 1,
    "transfer_id": TRANSFER_ID,
    "error": None,
}
ACCEPTED: dict[str, Any] = REQUEST | {
    "status": "accepted",
    "started_at": None,
    "ended_at": None,
    "tries": 0,
    "transfer_id": None,
}
