"""Horizon's REST interface, as much of it as wallets use."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.types import ControllerRouterHandler
from stellar_sdk import StrKey

from billfold.devnet.stellar import asking, book, records, statistics, told
from billfold.devnet.stellar.asking import Problem
from billfold.devnet.stellar.history import Done, Included, Ledger, Shelf, Shelves
from billfold.devnet.stellar.ledgers import Ledgers

Asked = Request[Any, Any, Any]
#: Of everything that carries its own content type.
_KIND = MediaType.JSON


class Horizon:
    """Answers from what is closed; handing in is in `handing_in`."""

    def __init__(self, ledgers: Ledgers) -> None:
        self._ledgers = ledgers

    def routes(self) -> Sequence[ControllerRouterHandler]:  # noqa: C901 - one line or two for each route
        """Litestar's handlers."""
        history = self._ledgers.history

        @get("/", media_type=_KIND, sync_to_thread=False)
        def root(request: Asked) -> Response[Any]:
            found = records.root(asking.base(request), last=history.last, passphrase=self._ledgers.passphrase)
            return asking.answer(found)

        @get("/ledgers", media_type=_KIND, sync_to_thread=False)
        def ledgers(request: Asked) -> Response[Any]:
            asked = asking.paging(request)
            found = history.ledgers.page(cursor=asked.cursor, limit=asked.limit, descending=asked.descending)
            return asking.page(request, asked, [records.ledger(asking.base(request), each) for each in found])

        @get("/ledgers/{sequence:str}", media_type=_KIND, sync_to_thread=False)
        def ledger(request: Asked, sequence: str) -> Response[Any]:
            return asking.answer(records.ledger(asking.base(request), self._ledger(sequence)))

        @get("/ledgers/{sequence:str}/{what:str}", media_type=_KIND, sync_to_thread=False)
        def of_ledger(request: Asked, sequence: str, what: str) -> Response[Any]:
            return _page(request, history.of_ledger(self._ledger(sequence)), what)

        @get("/accounts/{account_id:str}", media_type=_KIND, sync_to_thread=False)
        def account(request: Asked, account_id: str) -> Response[Any]:
            found = self._ledgers.state.account(_account(account_id))
            if found is None:
                raise _missing()
            return asking.answer(records.account(asking.base(request), self._ledgers.state, found))

        @get("/accounts/{account_id:str}/{what:str}", media_type=_KIND, sync_to_thread=False)
        def of_account(request: Asked, account_id: str, what: str) -> Response[Any]:
            return _page(request, history.of_account(_account(account_id)), what)

        @get("/accounts/{account_id:str}/data/{key:str}", media_type=_KIND, sync_to_thread=False)
        def data(account_id: str, key: str) -> Response[Any]:
            found = self._ledgers.state.account(_account(account_id))
            if found is None or key not in found.data:
                raise _missing()
            return asking.answer({"value": base64.b64encode(found.data[key]).decode()})

        @get("/transactions/{name:str}", media_type=_KIND, sync_to_thread=False)
        def transaction(request: Asked, name: str) -> Response[Any]:
            found = self._transaction(name)
            return asking.answer(records.transaction(asking.base(request), found, known=name.lower()))

        @get("/transactions/{name:str}/{what:str}", media_type=_KIND, sync_to_thread=False)
        def of_transaction(request: Asked, name: str, what: str) -> Response[Any]:
            found = Shelves()
            found.add(self._transaction(name))
            return _page(request, found, what, failed=True)

        @get(["/transactions", "/operations", "/payments"], media_type=_KIND, sync_to_thread=False)
        def everything(request: Asked) -> Response[Any]:
            return _page(request, history.everything, request.url.path.strip("/"))

        @get("/fee_stats", media_type=_KIND, sync_to_thread=False)
        def fee_stats() -> Response[Any]:
            return asking.answer(statistics.fees(history))

        @get(["/paths/strict-send", "/paths/strict-receive"], media_type=_KIND, sync_to_thread=False)
        def paths(request: Asked) -> Response[Any]:
            return self._paths(request, sending=request.url.path.endswith("send"))

        about = [root, ledgers, ledger, of_ledger, account, of_account, data]
        return [*about, transaction, of_transaction, everything, fee_stats, paths]

    def _ledger(self, text: str) -> Ledger:
        found = self._ledgers.history.ledger(int(text)) if text.isdecimal() and len(text) <= 10 else None  # noqa: PLR2004 - digits of 32 bits
        if found is None:
            raise _missing()
        return found

    def _transaction(self, name: str) -> Included:
        found = self._ledgers.history.transaction(name.lower())
        if found is None:
            raise _missing()
        return found

    def _paths(self, request: Asked, *, sending: bool) -> Response[Any]:
        state = self._ledgers.state
        side, list_name = ("source_", "destination_assets") if sending else ("destination_", "source_assets")
        amount, fixed = asking.amount(request, f"{side}amount"), asking.asset(request, side)
        account = state.account(request.query_params.get("destination_account" if sending else "source_account", ""))
        others = asking.assets(request, list_name) or (["native", *account.lines] if account else [])
        found = list[records.Record]()
        for other in others:
            start, end = (fixed, other) if sending else (other, fixed)
            for sent, arrived, between in book.paths(state, start=start, end=end, amount=amount, sending=sending):
                found.append(
                    {
                        **records.asset(start, "source_"),
                        "source_amount": records.display(sent),
                        **records.asset(end, "destination_"),
                        "destination_amount": records.display(arrived),
                        "path": [records.asset(each) for each in between],
                    }
                )
        return asking.answer({"_embedded": {"records": found[: asking.LIMIT_MAX]}})


def _page(request: Asked, shelves: Shelves, what: str, *, failed: bool = False) -> Response[Any]:
    asked = asking.paging(request)
    base = asking.base(request)
    failed = failed or request.query_params.get("include_failed") == "true"
    if what == "transactions":
        included = _some(shelves.transactions, asked, lambda one: failed or one.verdict.succeeded)
        return asking.page(request, asked, [records.transaction(base, each) for each in included])
    if what not in {"operations", "payments"}:
        raise _missing()
    shelf: Shelf[Done] = shelves.operations if what == "operations" else shelves.payments
    done = _some(shelf, asked, lambda one: failed or one.within.verdict.succeeded)
    joined = request.query_params.get("join") == "transactions"
    return asking.page(request, asked, [told.operation(base, each, joined=joined) for each in done])


def _some(shelf: Shelf[Any], asked: asking.Paging, wanted: Any) -> list[Any]:
    """A page of those that are wanted."""
    found, cursor = list[Any](), asked.cursor
    while len(found) < asked.limit:
        more = shelf.page(cursor=cursor, limit=asked.limit, descending=asked.descending)
        if not more:
            break
        cursor = more[-1].token
        found += [each for each in more if wanted(each)]
    return found[: asked.limit]


def _account(text: str) -> str:
    if not StrKey.is_valid_ed25519_public_key(text):
        raise asking.wrong("account_id")
    return text


def _missing() -> Problem:
    return Problem("not_found", "There is nothing at this address.")
