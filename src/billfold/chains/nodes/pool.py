"""All nodes of a chain: which is asked, how often, and how many must say the same."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TypeAlias, TypeVar

import structlog

from billfold.chains import errors
from billfold.chains.nodes import Nodes, metrics
from billfold.chains.nodes.endpoints import Endpoint
from billfold.chains.nodes.failures import CallRefused, NodeFailed, ProvidersDisagree
from billfold.chains.nodes.wire import Wire

#: More would be a mistake: each of them is asked for every head and given every transaction.
NODES_MAX = 16
#: A read goes round all nodes so often.
ROUNDS = 3
#: Before the next round; times a chance between a half and one, so that many readers don't come back together.
PAUSE_S = 0.2
#: All rounds of a read together, in time-outs of a single call.
PATIENCE = 2.0
#: A node that is behind by no more than this is as good as the best: heads don't arrive everywhere at once.
LAG_MIN = 1

Answer = TypeVar("Answer")
Ask = Callable[[Endpoint], Awaitable[Answer]]
Outcome: TypeAlias = Answer | CallRefused | NodeFailed

_log = structlog.get_logger("chains.nodes")


def never(_: CallRefused) -> bool:
    """No refusal means more than that the node does not do it."""
    return False


class Pool:
    """The nodes of one chain."""

    def __init__(self, nodes: Nodes, *, chain: str, clock: Callable[[], float] = time.monotonic) -> None:
        assert 1 <= nodes.quorum <= len(nodes.urls) <= NODES_MAX, "the settings have seen to it"
        self.wire = Wire(timeout_s=nodes.timeout_s)
        self._chain = chain
        self._quorum = nodes.quorum
        self._patience_s = nodes.timeout_s * PATIENCE
        self._endpoints = tuple(
            Endpoint(url, number=number, chain=chain, clock=clock) for number, url in enumerate(nodes.urls, start=1)
        )

    async def read(self, ask: Ask[Answer]) -> Answer:
        """The answer of the best node that gives one.

        Raises:
            CallRefused: a node refuses the call.
            NodeUnavailable, NodeWrong: none gives an answer, or none that can be right.
        """

        async def one_round() -> Answer:
            failures: list[NodeFailed] = []
            for endpoint in self._preferred():
                try:
                    return await endpoint.asked(ask)
                except NodeFailed as failed:
                    failures.append(failed)
            raise self._unanswered(failures)

        return await self._patiently(one_round)

    async def agreed(
        self,
        ask: Ask[Answer],
        *,
        key: Callable[[Answer], Hashable],
        at: int | None = None,
        lacks: Callable[[CallRefused], bool] = never,
    ) -> Answer:
        """The answer that as many nodes give as the quorum wants, by its `key`.

        Nodes that are known not to have the block `at` yet are not asked. One that by its refusal `lacks` what is asked
        for has no say in it.

        Raises:
            CallRefused: so many nodes refuse the call, or so many lack it that no quorum can be had.
            ProvidersDisagree: they don't say the same; people should look.
            NodeUnavailable, NodeWrong: too few answer.
        """

        async def one_round() -> Answer:
            asked = [one for one in self._preferred() if at is None or one.height is None or one.height >= at]
            outcomes = await _outcomes(asked, ask)
            lacking = [one for one in outcomes if isinstance(one, CallRefused) and lacks(one)]
            if len(lacking) > len(self._endpoints) - self._quorum:
                raise lacking[0]
            return self._by_quorum([one for one in outcomes if one not in lacking], key)

        return await (self.read(ask) if self._quorum == 1 else self._patiently(one_round))

    async def answers(self, ask: Ask[Answer]) -> list[Answer]:
        """What each node answers that may be asked now; those that refuse or fail have no say.

        Raises:
            CallRefused: none answers, and one refuses the call.
            NodeUnavailable, NodeWrong: none gives an answer, or none that can be right.
        """

        async def one_round() -> list[Answer]:
            outcomes = await _outcomes(self._preferred(), ask)
            answers = [one for one in outcomes if not isinstance(one, CallRefused | NodeFailed)]
            for outcome in outcomes:
                if not answers and isinstance(outcome, CallRefused):
                    raise outcome
            if not answers:
                raise self._unanswered([one for one in outcomes if isinstance(one, NodeFailed)])
            return answers

        return await self._patiently(one_round)

    async def head(self, ask: Ask[Answer], *, height: Callable[[Answer], int]) -> Answer:
        """The highest head that as many nodes have reached as the quorum wants; it also tells who is behind.

        Raises:
            NodeUnavailable, NodeWrong: too few answer.
        """

        async def one_round() -> Answer:
            asked = self._preferred()
            outcomes = await _outcomes(asked, ask)
            answers: list[Answer] = []
            for endpoint, outcome in zip(asked, outcomes, strict=True):
                if not isinstance(outcome, CallRefused | NodeFailed):
                    endpoint.height = height(outcome)
                    answers.append(outcome)
            self._tell_lag()
            if len(answers) < self._quorum:
                raise self._too_few(outcomes)
            return sorted(answers, key=height, reverse=True)[self._quorum - 1]

        return await self._patiently(one_round)

    async def everywhere(self, ask: Ask[Answer]) -> Sequence[Outcome[Answer]]:
        """What each node makes of it, asked once, and also those that are left alone otherwise."""
        return await _outcomes(self._endpoints, ask)

    async def each(self, ask: Ask[Answer]) -> list[Answer]:
        """The answers of all nodes that give one.

        Raises:
            NodeUnavailable: none answers.
            NodeWrong: one refuses, or says what can't be.
        """
        outcomes = await self.everywhere(ask)
        for outcome in outcomes:
            if isinstance(outcome, CallRefused):
                raise outcome
            if isinstance(outcome, NodeFailed) and outcome.kind == "wrong":
                raise errors.NodeWrong(outcome.detail)
        answers = [one for one in outcomes if not isinstance(one, CallRefused | NodeFailed)]
        if not answers:
            raise self._unanswered([one for one in outcomes if isinstance(one, NodeFailed)])
        return answers

    async def broadcast(self, ask: Ask[Answer], *, known: Callable[[CallRefused], bool]) -> Answer | None:
        """Hand something over to all nodes, once. None: no node took it, but one has it already by its refusal.

        Raises:
            Refused: every node that answered refuses it.
            Uncertain: nobody knows whether a node has it.
        """
        outcomes = await self.everywhere(ask)
        refusals = [one for one in outcomes if isinstance(one, CallRefused)]
        failures = [one for one in outcomes if isinstance(one, NodeFailed)]
        for outcome in outcomes:
            if not isinstance(outcome, CallRefused | NodeFailed):
                return outcome
        if any(known(refused) for refused in refusals):
            return None
        if not refusals or any(failed.reached for failed in failures):
            raise errors.Uncertain("; ".join(failed.detail for failed in failures))
        raise errors.Refused(refusals[0].message) from refusals[0]

    async def close(self) -> None:
        await self.wire.close()

    async def _patiently(self, one_round: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of the first round that has one."""
        try:
            async with asyncio.timeout(self._patience_s):
                for left in reversed(range(ROUNDS)):
                    try:
                        return await one_round()
                    except CallRefused:
                        raise
                    except (errors.NodeUnavailable, errors.NodeWrong):
                        if not left:
                            raise
                    await asyncio.sleep(PAUSE_S * random.uniform(0.5, 1))  # noqa: S311 - it spreads load
        except TimeoutError:
            raise errors.NodeUnavailable(
                f"No node of {self._chain} has answered within {self._patience_s:g} s."
            ) from None
        raise AssertionError("the last round has returned or raised")

    def _preferred(self) -> list[Endpoint]:
        """Those that may be asked: the healthy ones first, of these the ones that are least behind."""
        best = self._best_height()

        def rank(endpoint: Endpoint) -> tuple[bool, int]:
            lag = 0 if endpoint.height is None else best - endpoint.height
            return endpoint.failing, lag if lag > LAG_MIN else 0

        return sorted((endpoint for endpoint in self._endpoints if endpoint.open), key=rank)

    def _best_height(self) -> int:
        return max((endpoint.height or 0 for endpoint in self._endpoints), default=0)

    def _tell_lag(self) -> None:
        best = self._best_height()
        for endpoint in self._endpoints:
            if endpoint.height is not None:
                metrics.LAG.labels(self._chain, endpoint.label).set(best - endpoint.height)

    def _by_quorum(self, outcomes: Sequence[Outcome[Answer]], key: Callable[[Answer], Hashable]) -> Answer:
        found: dict[Hashable, Answer | CallRefused] = {}
        votes: Counter[Hashable] = Counter()
        for outcome in outcomes:
            if isinstance(outcome, NodeFailed):
                continue
            said: Hashable = ("refused", outcome.number) if isinstance(outcome, CallRefused) else ("says", key(outcome))
            found.setdefault(said, outcome)
            votes[said] += 1
        if len(votes) > 1:
            metrics.DISAGREEMENTS.labels(self._chain).inc()
            _log.warning("providers disagree", chain=self._chain, answers=len(votes), quorum=self._quorum)
        for said, number in votes.most_common(1):
            if number >= self._quorum:
                agreed = found[said]
                if isinstance(agreed, CallRefused):
                    raise agreed
                return agreed
        if len(votes) > 1:
            raise ProvidersDisagree(f"The nodes of {self._chain} do not say the same, and {self._quorum} must.")
        raise self._too_few(outcomes)

    def _too_few(self, outcomes: Sequence[object]) -> errors.NodeUnavailable | errors.NodeWrong:
        failures = [one for one in outcomes if isinstance(one, NodeFailed)]
        if self._quorum == 1:
            return self._unanswered(failures)
        details = "; ".join(one.detail for one in failures)
        return errors.NodeUnavailable(f"{self._quorum} nodes of {self._chain} must answer. {details}".strip())

    def _unanswered(self, failures: Sequence[NodeFailed]) -> errors.NodeUnavailable | errors.NodeWrong:
        if not failures:
            return errors.NodeUnavailable(f"All nodes of {self._chain} are left alone for a moment, after failures.")
        details = "; ".join(failed.detail for failed in failures)
        if all(failed.kind == "wrong" for failed in failures):
            return errors.NodeWrong(details)
        return errors.NodeUnavailable(details)


async def _outcomes(endpoints: Sequence[Endpoint], ask: Ask[Answer]) -> Sequence[Outcome[Answer]]:
    async def outcome(endpoint: Endpoint) -> Outcome[Answer]:
        try:
            return await endpoint.asked(ask)
        except (CallRefused, NodeFailed) as answer:
            return answer

    return await asyncio.gather(*(outcome(endpoint) for endpoint in endpoints))
