"""The role `worker`: what nobody waits for.

It takes confirmed transactions, carries out accepted requests, publishes the outbox, fills the feed of events, ends
holds, finishes what was approved, rotates signing keys, forgets sessions that ended long ago, and verifies. It forgets
no idempotency key: a sender may repeat a confirmed transaction at any time, and its key is what keeps it from counting
twice.

Each duty runs on its own. When PostgreSQL or the broker is away, a duty waits and begins again; nothing is lost by
that, since what is to be done stands in the database or in the stream. Any other failure is a bug: it ends the process,
and whoever runs it starts it again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import signal
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import structlog
import uvloop
from prometheus_client import REGISTRY, Gauge

from billfold.app import container, mail, messaging, settings, sinks
from billfold.app.container import Container
from billfold.app.roles import requests
from billfold.audit import workers as audit_workers
from billfold.custody import workers as custody_workers
from billfold.identity import Identity
from billfold.kernel import origin
from billfold.kernel.clock import SystemClock
from billfold.kernel.errors import Unavailable
from billfold.kernel.origin import Origin
from billfold.ledger import Ledger
from billfold.notifications import workers as feeding
from billfold.platform.messaging import leading
from billfold.platform.messaging.consuming import EventConsumer
from billfold.platform.messaging.port import Messaging, Subscription
from billfold.platform.messaging.relay import Relay
from billfold.platform.messaging.topics import EVENTS
from billfold.platform.telemetry import listener, logs
from billfold.wallets import BALANCES_SUBSCRIPTION, Projections, workers

ROLE = "worker"
#: A duty that lost its server tries again after this, and then after twice as long, up to the second.
RETRY_PAUSE_S = 0.1
RETRY_PAUSE_MAX_S = 5.0
#: Servers that start together with the worker have so long; it takes a minute to fetch a node that is not there yet.
STARTING_S = 60.0
#: A hold ends at most so long after its time; meanwhile it can't be settled any more.
EXPIRY_PAUSE_S = 1.0
EXPIRY_BLOCK = 500
#: What was approved and not carried out, because a process has died in between, waits so much longer.
APPROVALS_PAUSE_S = 5.0
MEASURE_PAUSE_S = 5.0
#: A duty that is told to stop has so long before it is told again.
CANCEL_AGAIN_S = 5.0
#: From the end of one verification of the whole ledger to the begin of the next.
VERIFY_PAUSE_S = 300.0
#: Of one core's time a verification takes so much at most: what is read again for hours must not slow down who posts.
VERIFY_SHARE = 0.05
#: How often it is asked whether a signing key is old enough to be replaced, or has ended.
ROTATE_PAUSE_S = 600.0
#: Between two samples of some hundred wallets in Redis that are compared with the ledger.
COMPARE_PAUSE_S = 2.0
#: How often sessions that ended long ago are deleted.
FORGET_PAUSE_S = 3_600.0
#: As in the API: looking for cycles after every few objects finds none.
_GC_THRESHOLD = 20_000

FAULTS = Gauge("billfold_ledger_faults", "Breaches of the ledger's invariants that the last verification found.")
#: Until a verification has ended nobody knows.
FAULTS.set(math.nan)
VERIFIED = Gauge("billfold_ledger_verified_timestamp_seconds", "When the last verification ended.")
VERIFIED_TRANSFERS = Gauge("billfold_ledger_verified_transfers", "How many transfers the last verification read.")

WORKING = Gauge("billfold_worker_duty_working", "1 while a duty works, 0 while it waits for its server.", ["duty"])

log = structlog.get_logger(__name__)


class Duty(NamedTuple):
    """Something to do until the process ends."""

    name: str
    run: Callable[[], Awaitable[None]]


def run(tree: settings.Settings) -> None:
    """Work until SIGTERM or Ctrl-C.

    Raises:
        SettingInvalid, DatabaseUnavailable, PortTaken: it can't start.
    """
    logs.configure(role=ROLE, level=tree.log.level, form=tree.log.format)
    if tree.audit.dsn is not None:
        origin.begin(Origin(channel="worker"))
    uvloop.run(_work(tree))


async def _work(tree: settings.Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        container.opened(tree, name=f"billfold {ROLE}", with_balances=True, with_history=True) as parts,
        listener.listening(
            REGISTRY,
            host=tree.metrics.host,
            port=tree.worker.metrics_port,
            setting=settings.variable("worker.metrics_port"),
        ),
    ):
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        tasks = [asyncio.create_task(_kept_up(duty), name=duty.name) for duty in _duties(tree, parts)]
        stopped = asyncio.create_task(stop.wait(), name="stop")
        log.info("working", duties=[task.get_name() for task in tasks])
        try:
            ended, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await leading.stopped([stopped, *tasks], again_after_s=CANCEL_AGAIN_S)
        for task in ended:
            task.result()
        log.info("stopped")


def _duties(tree: settings.Settings, parts: Container) -> Sequence[Duty]:
    broker = messaging.of(tree)
    relay = Relay(database=parts.database, messaging=broker, expanders=parts.ledger.expanders)
    confirmed = workers.ConfirmedTransactions(wallets=parts.wallets, messaging=broker)
    carried_out = requests.consumer(wallets=parts.wallets, database=parts.database, messaging=broker)
    feed = feeding.consumer(notifications=parts.notifications, messaging=broker, database=parts.database)
    return (
        Duty("take confirmed transactions", confirmed.run),
        Duty("measure confirmed transactions", confirmed.measure),
        Duty("publish the outbox", relay.run),
        Duty("measure the outbox", lambda: _measure(relay)),
        *_balances(parts, broker),
        *_copying(parts, broker),
        *_mailing(tree.mail, parts),
        Duty("carry out requests", carried_out.run),
        Duty("carry out due requests", lambda: requests.carry_out_due(parts.wallets)),
        Duty("measure requests", lambda: requests.measure(parts.wallets)),
        Duty("fill the feed", feed.run),
        Duty("forget old events", parts.notifications.recorder.forget),
        Duty("expire holds", lambda: _expire_holds(parts)),
        Duty("rotate signing keys", lambda: _rotate(parts.identity, every=timedelta(days=tree.tokens.rotate_days))),
        Duty("forget ended sessions", lambda: _forget_sessions(parts.identity)),
        Duty("tend approvals", lambda: _tend_approvals(parts)),
        Duty("verify the ledger", lambda: _verify(parts.ledger)),
        *(
            Duty(f"read {chain}", partial(custody_workers.watch, parts.custody, chain))
            for chain in parts.custody.watchers
        ),
        *(
            Duty(f"send out on {chain}", partial(custody_workers.send, parts.custody, chain))
            for chain in parts.custody.watchers
        ),
        *(
            Duty(f"open accounts on {served.name}", partial(custody_workers.open_up, parts.custody, served.name))
            for served in parts.custody.serving.all
            if served.withdrawing.channel_reserve or served.withdrawing.durable_nonces
        ),
        *(
            Duty(f"sweep on {served.name}", partial(custody_workers.sweep, parts.custody, served.name))
            for served in parts.custody.serving.all
            if served.swept
        ),
        *(
            Duty(f"reconcile {chain}", partial(custody_workers.reconcile, parts.custody, chain))
            for chain in parts.custody.watchers
        ),
        *(
            Duty(f"measure what leaves on {chain}", partial(custody_workers.measure, parts.custody, chain))
            for chain in parts.custody.watchers
        ),
        *(
            Duty(f"count keys of {served.name}", partial(custody_workers.measure_keys, parts.custody, served.name))
            for served in parts.custody.serving.all
            if served.outside is not None
        ),
        Duty("prove reserves", partial(custody_workers.prove, parts.custody)),
        *(
            Duty(f"tend the treasury on {served.name}", partial(custody_workers.tend, parts.custody, served.name))
            for served in parts.custody.serving.all
            if (served.swept or served.withdrawing.treasury.is_used) and served.outside is None
        ),
        *_auditing(tree.audit, parts, broker),
    )


def _auditing(tree: settings.Audit, parts: Container, broker: Messaging) -> Sequence[Duty]:
    audit = parts.audit
    if audit is None:
        log.warning("no audit is kept, since no database is set for it", setting=settings.variable("audit.dsn"))
        return ()
    recording = audit_workers.recording(audit=audit, messaging=broker, database=parts.database)
    return (
        Duty("record the audit", recording.run),
        Duty("seal the audit", lambda: audit_workers.seal(audit, every_s=tree.seal_seconds)),
        *(
            Duty(f"publish heads of the audit: {place.name}", partial(audit_workers.publish, audit, place))
            for place in audit.publishing.places
        ),
        *(
            duty
            for sink in sinks.of(tree.sinks)
            for duty in (
                Duty(f"feed the audit to {sink.name}", partial(audit_workers.feed, audit, sink.name, broker)),
                Duty(
                    f"write the audit to {sink.name}",
                    partial(audit_workers.fill, sink, messaging=broker, database=parts.database),
                ),
            )
        ),
    )


def _balances(parts: Container, broker: Messaging) -> Sequence[Duty]:
    pictures, projections = parts.wallets.pictures, parts.wallets.projections
    if pictures is None or projections is None:
        return ()
    consumer = EventConsumer(
        messaging=broker, database=parts.database, subscription=BALANCES_SUBSCRIPTION, handle=pictures.apply
    )
    return (Duty("keep balances", consumer.run), Duty("compare balances", lambda: _compare(projections)))


async def _compare(projections: Projections) -> None:
    while True:
        await projections.sample()
        await asyncio.sleep(COMPARE_PAUSE_S)


def _copying(parts: Container, broker: Messaging) -> Sequence[Duty]:
    copied = parts.wallets.history
    if copied is None:
        return []
    subscription = Subscription(name="history", topic=EVENTS, types=copied.TYPES, ordered=False)
    consumer = EventConsumer(messaging=broker, database=parts.database, subscription=subscription, handle=copied.take)
    return [Duty("copy the history", consumer.run)]


def _mailing(tree: settings.Mail, parts: Container) -> Sequence[Duty]:
    from billfold.platform.mail import sending  # noqa: PLC0415 - see app.mail

    duties = [Duty("measure the mails", lambda: sending.measure(parts.database))]
    sender = mail.sending(tree, database=parts.database, mails=parts.mails)
    if sender is None:
        log.warning("no mail is sent, since no mail server is set: they wait", setting=settings.variable("mail.host"))
        return duties
    return [Duty("send mails", sender.run), *duties]


async def _kept_up(duty: Duty) -> None:
    now = asyncio.get_running_loop().time
    started, pause, told = now(), RETRY_PAUSE_S, (logging.NOTSET, "")
    while True:
        began = now()
        WORKING.labels(duty.name).set(1)
        try:
            await duty.run()
        except Unavailable as error:
            WORKING.labels(duty.name).set(0)
            if now() - began > RETRY_PAUSE_MAX_S:
                pause, told = RETRY_PAUSE_S, (logging.NOTSET, "")
            # While all starts nobody has to mend anything. What is still away afterwards is told of again.
            level = logging.INFO if now() - started < STARTING_S else logging.WARNING
            # Once for each outage, and not at each try.
            if (level, error.detail) != told:
                log.log(level, "a duty waits for its server", duty=duty.name, reason=error.detail)
            told = (level, error.detail)
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_PAUSE_MAX_S)


async def _measure(relay: Relay) -> None:
    while True:
        await relay.measure()
        await asyncio.sleep(MEASURE_PAUSE_S)


async def _expire_holds(parts: Container) -> None:
    while True:
        if await parts.ledger.expire_holds(limit=EXPIRY_BLOCK) < EXPIRY_BLOCK:
            await asyncio.sleep(EXPIRY_PAUSE_S)


async def _rotate(identity: Identity, *, every: timedelta) -> None:
    while True:
        made = await identity.tokens.keep_rotated(every=every)
        if made is not None:
            log.info("a signing key was made", signing_key=made.id, signs_from=made.signs_from.isoformat())
        await asyncio.sleep(ROTATE_PAUSE_S)


async def _forget_sessions(identity: Identity) -> None:
    while True:
        if not await identity.sessions.forget_ended():
            await asyncio.sleep(FORGET_PAUSE_S)


async def _tend_approvals(parts: Container) -> None:
    while True:
        if not await parts.identity.approvals.tend():
            await asyncio.sleep(APPROVALS_PAUSE_S)


async def _verify(ledger: Ledger) -> None:
    clock = SystemClock()
    while True:
        found = await ledger.verify(share=VERIFY_SHARE)
        FAULTS.set(len(found.faults))
        VERIFIED.set(clock.now().timestamp())
        VERIFIED_TRANSFERS.set(found.transfers)
        for fault in found.faults:
            log.error(
                "the ledger breaks an invariant",
                invariant=fault.invariant,
                subject=str(fault.subject),
                detail=fault.detail,
            )
        await asyncio.sleep(VERIFY_PAUSE_S)
