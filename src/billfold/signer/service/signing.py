"""Signatures: a group of requests at a time, each read, compared, checked against the policy, signed and logged.

All of a group is one database transaction. A signature leaves this module after its COMMIT and never before.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from billfold.chains.port import Network, Signed
from billfold.chains.signing_port import Place, Shown
from billfold.kernel import clock
from billfold.kernel import errors as kernel_errors
from billfold.platform.postgres.database import Connection, Database
from billfold.signer import errors
from billfold.signer.contracts import Limit
from billfold.signer.domain import policy
from billfold.signer.domain.policy import Reading, Rules
from billfold.signer.domain.requests import Request
from billfold.signer.service.chains import Chains, Tools, guarded
from billfold.signer.service.recording import Recorder
from billfold.signer.service.seeds import Secret, Seeds
from billfold.signer.store import log, trees
from billfold.signer.store import policy as policies

#: Signatures that one database transaction waits for. PostgreSQL ends one that has been idle for five seconds, and
#: these take a fraction of one, or a few on a machine that has twenty times as much to do as it can.
SIGNATURES_MAX = 32
#: Addresses that were derived are remembered, since the same few pay again and again.
_DERIVED_MAX = 100_000


class _Ready(NamedTuple):
    """A request with all that it takes to sign it; or why it can't be, and how far it was read."""

    request: Request
    row: trees.Row | None = None
    tools: Tools | None = None
    secret: Secret | None = None
    shown: Shown | None = None
    reading: Reading | None = None
    error: kernel_errors.BillfoldError | None = None


class Signing:
    """Does groups of requests."""

    def __init__(self, *, database: Database, seeds: Seeds, chains: Chains, clock: clock.Clock) -> None:
        self._database = database
        self._seeds = seeds
        self._chains = chains
        self._clock = clock
        self._derived: OrderedDict[tuple[UUID, Place], str] = OrderedDict()

    async def run(self, requests: Sequence[Request]) -> list[Signed | kernel_errors.BillfoldError]:
        """What each is answered.

        Raises:
            DatabaseUnavailable.
        """
        answers: list[Signed | kernel_errors.BillfoldError] = []
        ready = await self._prepare(requests)
        for part in _parts(ready):
            async with self._database.transaction() as connection:
                found = await self._sign(connection, part)
            answers += found
        return answers

    async def _prepare(self, requests: Sequence[Request]) -> list[_Ready]:
        """Read each, with nothing locked: providers are asked here, and keys are derived."""
        async with self._database.connection() as connection:
            rows = await trees.find(connection, list({request.tree_id for request in requests}))
        secrets = await self._seeds.open_all(rows.values())
        return await asyncio.to_thread(
            lambda: [self._read(one, rows.get(one.tree_id), secrets.get(one.tree_id)) for one in requests]
        )

    def _read(
        self, request: Request, row: trees.Row | None, secret: Secret | kernel_errors.BillfoldError | None
    ) -> _Ready:
        if row is None or secret is None:
            return _Ready(request, error=errors.TreeNotFound())
        if isinstance(secret, kernel_errors.BillfoldError):
            return _Ready(request, row, error=secret)
        shown = None
        try:
            tools = self._chains(row.chain)
            shown = guarded(tools.signing.read, request.payload, network=row.network)
            derived = {place: self._address(row, tools, secret, place) for place in set(request.places.values())}
            policy.check_places(shown, request.places, derived)
            reading = policy.compare(shown, request.expected, request.places)
            policy.check_sweep(row.chain, reading, request.places)
        except kernel_errors.BillfoldError as error:
            return _Ready(request, row, shown=shown, error=error)
        return _Ready(request, row, tools, secret, shown, reading)

    def _address(self, row: trees.Row, tools: Tools, secret: Secret, place: Place) -> str:
        key = (row.id, place)
        if key not in self._derived:
            (self._derived[key],) = guarded(
                tools.keys.addresses,
                secret.seed,
                purpose=place.purpose,
                first=place.index,
                count=1,
                network=row.network,
            )
            if len(self._derived) > _DERIVED_MAX:
                self._derived.popitem(last=False)
        return self._derived[key]

    async def _sign(self, connection: Connection, part: Sequence[_Ready]) -> list[Signed | kernel_errors.BillfoldError]:
        recorder = await Recorder.begin(connection, now=self._clock.now())
        known = await log.answered(connection, [one.request.request_id for one in part])
        told = await log.refusals(connection, [one.request.request_id for one in part])
        ledger = _Spending(connection, recorder.at)
        answers = await self._answers(part, known, ledger)
        for one, answer in zip(part, answers, strict=True):
            request = one.request
            if isinstance(answer, Signed):
                if request.request_id not in known:
                    recorder.signed(request, one.row, one.shown, answer)
                continue
            mark = (request.request_id, request.digest, answer.code)
            if mark not in told and not isinstance(answer, kernel_errors.Unavailable):
                recorder.refused(request, one.row, one.shown, answer)
                told.add(mark)
        await recorder.write()
        sums = {key: amount for key, amount in ledger.added.items() if amount}
        await policies.add_spending(connection, sums, slice_begins=policy.slice_of(recorder.at))
        return answers

    async def _answers(
        self, part: Sequence[_Ready], known: Mapping[UUID, log.Answer], ledger: _Spending
    ) -> list[Signed | kernel_errors.BillfoldError]:
        """First each is decided, in its turn; then the keys of all that may leave are used, in another thread."""
        decided = [await self._decide(one, known, ledger) for one in part]
        allowed = [one for one, answer in zip(part, decided, strict=True) if answer is None]
        signed = iter(await asyncio.to_thread(lambda: [_signature(one) for one in allowed]))
        answers = []
        for one, before in zip(part, decided, strict=True):
            answer = next(signed) if before is None else before
            if before is None and not isinstance(answer, Signed):
                ledger.take_back(one)
            answers.append(answer)
        return answers

    async def _decide(
        self, one: _Ready, known: Mapping[UUID, log.Answer], ledger: _Spending
    ) -> Signed | kernel_errors.BillfoldError | None:
        """What it is answered; None: it may leave, and counts as if it had left."""
        request = one.request
        if (before := known.get(request.request_id)) is not None:
            same = before.digest == request.digest
            return Signed(raw=before.raw, chain_tx=before.chain_tx) if same else errors.RequestDiffers()
        if one.error is not None:
            return one.error
        try:
            await ledger.count(one)
        except kernel_errors.BillfoldError as error:
            return error
        return None


def _signature(one: _Ready) -> Signed | kernel_errors.BillfoldError:
    assert one.tools is not None, "it was read"
    assert one.secret is not None, "it was read"
    assert one.row is not None, "it was read"
    assert one.shown is not None, "it was read"
    places = {source: one.request.places[source] for source in one.shown.sources}
    try:
        return guarded(
            one.tools.signing.sign, one.request.payload, one.secret.seed, places=places, network=one.row.network
        )
    except kernel_errors.BillfoldError as error:
        return error


def _parts(ready: Sequence[_Ready]) -> Iterator[list[_Ready]]:
    """As many as one database transaction takes, by how many signatures each is; each request once in each."""
    part: dict[UUID, _Ready] = {}
    signatures = 0
    for one in ready:
        wanted = max(1, len(one.shown.sources)) if one.shown is not None else 1
        if part and (signatures + wanted > SIGNATURES_MAX or one.request.request_id in part):
            yield [*part.values()]
            part, signatures = {}, 0
        part[one.request.request_id] = one
        signatures += wanted
    if part:
        yield [*part.values()]


class _Spending:
    """What has left, as far as it is asked for: as the database has it, and what the same group adds."""

    def __init__(self, connection: Connection, at: datetime) -> None:
        self._connection = connection
        self._at = at
        self._limits: dict[tuple[str, Network], dict[str | None, Limit]] = {}
        self._lists: dict[tuple[str, Network], bool] = {}
        self._spent: dict[tuple[str, Network, str | None], int] = {}
        self.added: dict[tuple[str, Network, str | None], int] = defaultdict(int)

    async def count(self, one: _Ready) -> None:
        """It leaves, when the policy allows it.

        Raises:
            PolicyRefused.
        """
        assert one.row is not None, "it was read"
        assert one.reading is not None, "it was read"
        row, reading = one.row, one.reading
        limits = await self._limits_of(row)
        spent = {token: await self._spent_of(limits[token]) for token in policy.leaving(reading) if token in limits}
        warm = await self._warm(row, reading) if reading.to_warm else set()
        rules = Rules(limits=limits, allowed=await self._allowed(row, reading), warm=warm)
        for token, amount in policy.check_rules(rules, row.network, reading, spent).items():
            self.added[row.chain, row.network, token] += amount

    def take_back(self, one: _Ready) -> None:
        """It does not leave after all."""
        assert one.row is not None, "it was read"
        assert one.reading is not None, "it was read"
        for token, amount in policy.leaving(one.reading).items():
            self.added[one.row.chain, one.row.network, token] -= amount

    async def _limits_of(self, row: trees.Row) -> dict[str | None, Limit]:
        key = (row.chain, row.network)
        if key not in self._limits:
            found = await policies.limits(self._connection, *key)
            self._limits[key] = {limit.token: limit for limit in found}
        return self._limits[key]

    async def _spent_of(self, limit: Limit) -> int:
        key = (limit.chain, limit.network, limit.token)
        if key not in self._spent:
            since = policy.window_begins(self._at, limit.window_s)
            self._spent[key] = await policies.spent(self._connection, limit, since=since)
        return self._spent[key] + self.added.get(key, 0)

    async def _allowed(self, row: trees.Row, reading: Reading) -> set[str] | None:
        key = (row.chain, row.network)
        if key not in self._lists:
            self._lists[key] = await policies.has_allow_list(self._connection, *key)
        if not self._lists[key]:
            return None
        wanted = {payment.address for payment in reading.outside}
        return await policies.known_of(self._connection, *key, wanted)

    async def _warm(self, row: trees.Row, reading: Reading) -> set[str]:
        wanted = {payment.address for payment in reading.outside}
        return await policies.warm_of(self._connection, row.chain, row.network, wanted)
