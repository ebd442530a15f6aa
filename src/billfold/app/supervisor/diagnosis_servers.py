"""What is looked for of servers beside a stack that somebody has set up: ledgers, a signer, caches, audit sinks."""

from __future__ import annotations

from collections.abc import AsyncIterator

from billfold.app import places, remote, settings, signing, sinks
from billfold.app.supervisor import record
from billfold.app.supervisor.findings import Finding, State
from billfold.kernel import clock, errors
from billfold.platform.postgres.database import DatabaseUnavailable

#: How long a Cassandra has to answer.
HISTORY_PATIENCE_S = 5.0
#: A backup of so long ago has been tried by somebody who may have left, with words that may be lost since.
DRILL_DAYS_MAX = 90


async def ledger(tree: settings.Settings, running: record.StackRecord | None) -> AsyncIterator[Finding]:
    """The ledgers that post for the others, where there are any: those of the settings, or of the running stack."""
    known = {} if running is None else running.addresses
    of_stack = ",".join(known[name] for name in sorted(known) if name.startswith("ledger"))
    address = tree.ledger.address or of_stack
    if not address:
        return
    try:
        found = await remote.examine(tree.ledger, address)
    except errors.BillfoldError as error:
        advice = "Correct that, or set here what the stack was started with."
        yield Finding(check="ledger", state="fail", found=error.detail, advice=advice)
        return
    state: State = "warn" if None in found.values() else "fail"
    for name, reason in found.items():
        if reason is None:
            yield Finding(check="ledger", state="ok", found=f"{name} serves")
        else:
            advice = "Look at its log, and at ledger.address and the certificates that are set here."
            yield Finding(check="ledger", state=state, found=reason, advice=advice)


async def signer(tree: settings.Settings) -> list[Finding]:
    """The signer that custody asks, where there is one: that of the settings, or of the running stack."""
    why = await signing.ailing(tree.signer)
    advice = "Look at its log, and at signer.*. Until it answers, nothing leaves on a chain."
    found = Finding(
        check="signer", state="fail" if why else "ok", found=why or "it serves", advice=advice if why else ""
    )
    return [] if tree.signer.address is None else [found]


async def drill(tree: settings.Settings) -> list[Finding]:
    """How old the last good drill of a backup is, where the signer's database can be asked and has keys of money."""
    if tree.signer.dsn is None:
        return []
    try:
        async with signing.drills(tree.signer.dsn, name="billfold doctor") as drills:
            wanted, last = await drills.wanted(), await drills.last_good()
    except DatabaseUnavailable as error:
        return [Finding(check="restore drill", state="warn", found=error.detail, advice="Look at signer.dsn.")]
    if last is None:
        return [_no_drill("no backup of the seeds was ever tried")] if wanted else []
    days = (clock.SystemClock().now() - last).days
    if days > DRILL_DAYS_MAX and wanted:
        return [_no_drill(f"the last good one was {days} days ago")]
    return [Finding(check="restore drill", state="ok", found=f"the last good one was {days} days ago")]


def _no_drill(found: str) -> Finding:
    advice = "Run `billfold custody restore-drill FILE` with the newest backup."
    return Finding(check="restore drill", state="warn", found=found, advice=advice)


async def redis(tree: settings.Settings) -> AsyncIterator[Finding]:
    """Whatever is done in a Redis is done without when it is away: none of this keeps a stack from running."""
    for url in sorted({url for url in (tree.limits.redis_url, tree.balances.redis_url) if url is not None}):
        from billfold.platform import redis  # noqa: PLC0415 - its library is loaded where there is one.

        shown = settings.mask(url)
        try:
            seen = await redis.examine(url)
        except ValueError:
            advice = "Write it as redis://:password@host:6379/0, rediss:// or unix://."
            yield Finding(check="redis", state="fail", found=f"{shown} is no address of a Redis", advice=advice)
        except redis.RedisUnavailable as error:
            yield Finding(check="redis", state="warn", found=f"{shown}: {error.detail}", advice="Check the address.")
        else:
            yield _redis_seen(f"Redis {seen.version} at {shown}", seen.never_evicts, url == tree.balances.redis_url)


async def cassandra(tree: settings.Settings) -> AsyncIterator[Finding]:
    """As with Redis."""
    if tree.history.kind != "cql":
        return
    from billfold.app import history  # noqa: PLC0415 - as above.
    from billfold.platform.telemetry import logs  # noqa: PLC0415

    # To standard error: what the command finds is for whoever reads it.
    logs.configure(role="doctor", level="error", form=tree.log.format)
    try:
        await history.check(tree.history, patience_s=HISTORY_PATIENCE_S)
    except errors.Unavailable as error:
        yield Finding(check="cassandra", state="warn", found=error.detail, advice="Check the address and the server.")
    except errors.BillfoldError as error:
        yield Finding(check="cassandra", state="fail", found=error.detail, advice="Correct that.")
    else:
        yield Finding(check="cassandra", state="ok", found=f"CQL at {tree.history.contact_points}")


def _redis_seen(found: str, never_evicts: bool, has_balances: bool) -> Finding:  # noqa: FBT001 - called above alone.
    if not (never_evicts and has_balances):
        return Finding(check="redis", state="ok", found=found)
    return Finding(
        check="redis",
        state="warn",
        found=f"{found} takes nothing new when it is full",
        advice="Set its maxmemory-policy to allkeys-lru. Until then the database answers for what has no room there.",
    )


async def audit_bucket(tree: settings.AuditObjectStore) -> AsyncIterator[Finding]:
    """Signed heads wait for it as records do for sinks. Nothing is put there: what is may never be removed again."""
    try:
        store = places.object_store(tree)
    except errors.BillfoldError as error:
        yield Finding(check="audit bucket", state="fail", found=error.detail, advice="Correct that setting.")
        return
    if store is not None:
        try:
            yield Finding(check="audit bucket", state="ok", found=await store.examine())
        except errors.Unavailable as error:
            advice = "Check audit.publish_s3. Until it answers so, signed heads wait for it."
            yield Finding(check="audit bucket", state="warn", found=error.detail, advice=advice)


async def audit_sinks(tree: settings.AuditSinks) -> AsyncIterator[Finding]:
    """Records wait for a sink that is away: none of this keeps a stack from running."""
    try:
        found = sinks.of(tree)
    except errors.BillfoldError as error:
        yield Finding(check="audit sink", state="fail", found=error.detail, advice="Correct that setting.")
        return
    for sink in found:
        async with sink.opened() as target:
            try:
                yield Finding(check="audit sink", state="ok", found=f"{sink.name}: {await target.examine()}")
            except errors.Unavailable as error:
                advice = f"Check audit.sinks.{sink.name}. Until it answers, records wait for it."
                yield Finding(check="audit sink", state="warn", found=error.detail, advice=advice)
