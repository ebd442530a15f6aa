"""The wallets behind a file's accounts: found by the account as their external_id, created when there is none."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from billfold.app.client import Api, ApiRefusal
from billfold.app.importing.mapping import NO_OVERDRAFT, UNLIMITED, MappingInvalid
from billfold.kernel import errors, money
from billfold.kernel.assets import Asset

#: Wallets that are asked for or created at once.
AT_ONCE = 8
#: Ids that are kept; of a file with more accounts, those that were not seen for the longest time are asked for again.
REMEMBERED_MAX = 100_000
#: What `unlimited` sets: no household, bank or state reaches it, and it is far below what the ledger can count.
UNLIMITED_AMOUNT = "1000000000000000"
_REUSED = "external_id_reused"


class AccountAmbiguous(errors.Conflict):
    """More than one wallet has this external_id."""

    code = "account_ambiguous"


class Accounts:
    """Wallet ids by account. Overdrafts are only ever widened: a wallet that may go lower already keeps that."""

    def __init__(self, api: Api, *, asset: Asset, overdraft: str) -> None:
        """`overdraft` is none, unlimited or an amount.

        Raises:
            MappingInvalid: it is none of them.
        """
        self._api = api
        self._asset = asset
        self._limit = _limit(overdraft, asset)
        self._known: OrderedDict[str, str] = OrderedDict()
        self.created = 0

    async def wallets(self, accounts: Sequence[str]) -> dict[str, str]:
        """The wallet id of each account."""
        missing = list(dict.fromkeys(account for account in accounts if account not in self._known))
        for start in range(0, len(missing), AT_ONCE):
            some = missing[start : start + AT_ONCE]
            found = await asyncio.gather(*(self._wallet(account) for account in some))
            self._known.update(zip(some, found, strict=True))
        wallets = {}
        for account in accounts:
            self._known.move_to_end(account)
            wallets[account] = self._known[account]
        while len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return wallets

    async def _wallet(self, account: str) -> str:
        new = {"name": account, "external_id": account}
        try:
            answer = await self._api.post("/wallets", new, repeatable=True)
        except ApiRefusal as refusal:
            if refusal.code != _REUSED:
                raise
            # Somebody has created it under another name, which is theirs to choose.
            wallet, is_new = await self._existing(account), False
        else:
            wallet, is_new = answer.body, not answer.replayed
        self.created += is_new
        if self._limit is not None:
            await self._widen(wallet["id"], self._limit, is_new=is_new)
        wallet_id: str = wallet["id"]
        return wallet_id

    async def _existing(self, account: str) -> dict[str, str]:
        found = [wallet async for wallet in self._api.pages("/wallets", {"external_id": account}, limit=2)]
        if len(found) != 1:
            raise AccountAmbiguous(
                f"{len(found)} wallets that this key sees have the external_id {account!r}; use their owner's own key."
            )
        return found[0]

    async def _widen(self, wallet_id: str, limit: str, *, is_new: bool) -> None:
        if not is_new:
            answer = await self._api.get(f"/wallets/{wallet_id}/balance", {"asset": self._asset.code})
            if Decimal(answer["balances"][0]["credit_limit"]) >= Decimal(limit):
                return
        change = {"credit_limits": [{"amount": limit, "asset": self._asset.code}]}
        await self._api.put(f"/wallets/{wallet_id}/credit-limits", change)


async def asset_of(api: Api, code: str) -> Asset:
    """The asset of that code.

    Raises:
        MappingInvalid: there is none.
    """
    for found in (await api.get("/assets"))["items"]:
        if found["code"] == code:
            return msgspec.convert(found, Asset)
    raise MappingInvalid(
        f"There is no asset {code!r}; `billfold assets list` shows them, `billfold assets add` adds one."
    )


def _limit(overdraft: str, asset: Asset) -> str | None:
    if overdraft == NO_OVERDRAFT:
        return None
    if overdraft == UNLIMITED:
        return UNLIMITED_AMOUNT
    try:
        units = money.parse(overdraft, asset.scale)
    except errors.BillfoldError as error:
        raise MappingInvalid(
            f"--overdraft is none, unlimited or an amount, not {overdraft!r}: {error.detail}"
        ) from error
    if units < 0:
        raise MappingInvalid("--overdraft is how far a wallet may go below zero, so it has no sign.")
    return overdraft
