"""How much is measured, and what a run finds. No I/O."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bench.balances import Timing
from bench.latency import Delays
from bench.loads import Read, Result, Stored
from bench.machine import Machine
from bench.pgbench import Speed
from bench.posting import Posted
from bench.sealing import Sealed
from bench.wrk import Answers, Logins

#: Of a load that shows how much a stack can do.
CONNECTIONS = 128


class Progress(msgspec.Struct, frozen=True):
    """How a run tells where it is: the next step and how much it has to do, and then how much of it was done."""

    step: Callable[[str, int], None]
    advance: Callable[[int], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything."""

    wallets: int = 10_000
    rounds: int = 3
    #: Of each load in each round.
    seconds: int = 6
    #: Of each number of clients, when pgbench's peak is looked for.
    search_seconds: int = 5
    #: Each has 100,000 accounts and a branch. A transaction updates a branch: more clients than these would only wait.
    pgbench_branches: int = 20
    #: Transfers of the accounts whose past is read, from the shortest to the longest.
    pasts: tuple[int, ...] = (10_000, 1_000_000)
    backdated: tuple[int, ...] = (10_000, 1_000_000)
    #: Of each kind of balance.
    reads: int = 2_000
    latency_seconds: int = 15
    #: Blocks of 1,000 transfers that are sent over gRPC in each round.
    blocks: int = 40
    #: In which the stack as usual, without the audit, and with traces are loaded one after the other.
    turns: int = 8
    #: Of each load in them, and of whatever else takes turns with its like.
    turn_seconds: int = 5
    #: For so long the broker is away.
    outage_seconds: int = 30
    #: Whether events on Kafka and RabbitMQ are measured too, where these are to be had.
    brokers: bool = False
    #: Begun in a second of a storm: more than ten times what two processors can hash the passwords of.
    logins_per_s: int = 300
    #: Records of the audit that are sealed at once.
    audit_records: int = 100_000
    restarts: int = 3
    #: After this a stack that was just started has nothing more to do, and its memory is measured.
    idle_after_s: float = 5


STANDARD = Plan()
LARGE = Plan(pasts=(10_000, 1_000_000, 10_000_000), outage_seconds=600, brokers=True)
#: Whether everything works, in a minute. Its figures say nothing.
QUICK = Plan(
    wallets=500,
    rounds=1,
    seconds=1,
    search_seconds=1,
    pgbench_branches=2,
    pasts=(1_000, 10_000),
    backdated=(1_000, 10_000),
    reads=100,
    latency_seconds=2,
    blocks=2,
    turns=1,
    turn_seconds=1,
    outage_seconds=2,
    logins_per_s=50,
    audit_records=1_000,
    restarts=1,
    idle_after_s=1,
)


class Start(msgspec.Struct, frozen=True):
    """How fast a stack was healthy, and the memory of all its processes when it had nothing to do."""

    seconds: float
    idle_bytes: int


class Direct(msgspec.Struct, frozen=True):
    """What a program posted without HTTP, and the processor time of a transfer by who spent it."""

    posted: Posted
    found: int
    per_s: float
    each_ms: dict[str, float]


class DirectTurn(msgspec.Struct, frozen=True):
    """Single transfers of a program with the ledger within, and over gRPC; and blocks over the stream."""

    within: Direct
    grpc: Direct
    streamed: Direct


class Round(msgspec.Struct, frozen=True):
    """One turn of the yardstick and each load."""

    pgbench: Speed
    spread: Result
    hot: Result
    bulk: Result
    direct: DirectTurn


class Variants(msgspec.Struct, frozen=True):
    """One turn of the same load: on a stack as usual, on one without an audit, and on one with traces."""

    usual: Result
    unaudited: Result
    traced: Result


class Authenticated(msgspec.Struct, frozen=True):
    """One turn of the same person's transfers: by API key, by access token, and by API key in a storm of logins."""

    by_key: Result
    by_token: Result
    in_storm: Result
    storm: Logins


class Reads(msgspec.Struct, frozen=True):
    """What reading balances costs; each list goes with the plan's accounts."""

    #: By many callers at once, and by one who waits for each answer.
    together: Answers
    alone: Answers
    now: list[Timing]
    #: The one statement, and the whole call of the facade.
    recorded: list[tuple[Timing, Timing]]
    effective: list[tuple[Timing, Timing]]


class KeptReads(msgspec.Struct, frozen=True):
    """Balances over HTTP on a stack with a Redis, in turns: those of now, and those of up to a minute ago."""

    ledger: list[Read]
    redis: list[Read]
    #: Of the answers of a minute ago, how many came from Redis.
    share: float


class Outage(msgspec.Struct, frozen=True):
    """A steady load while the broker was away, and how its events were caught up with."""

    load: Result
    seconds: int
    #: Transfers without a published event when the broker was back.
    waiting: int
    #: From then on, until all were published as fast as ever, or the load was over.
    catching_up_s: float
    published_per_s: float
    arriving_per_s: float


class Later(msgspec.Struct, frozen=True):
    """Requests that were accepted to be carried out later, and what became of them."""

    answers: Answers
    completed: int
    #: From the first one's arrival to the end of the last.
    seconds: float


class Events(msgspec.Struct, frozen=True):
    """A steady load, and what a consumer saw of it."""

    load: Result
    delays: Delays


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run found."""

    plan: Plan
    machine: Machine
    first_start: Start
    #: Of pgbench, at its peak.
    clients: int
    rounds: list[Round]
    #: After the rounds.
    stored: Stored
    authenticated: list[Authenticated]
    reads: Reads
    #: None where there is no Redis to be had.
    kept: KeptReads | None
    events: Events
    #: Transfers that were read again at the end, and found right.
    verified: int
    later_starts: list[Start]
    #: None in runs of before there was an audit.
    sealed: Sealed | None = None
    variants: list[Variants] = []
    outage: Outage | None = None
    later: Later | None = None
    #: By the name of the broker, those that are not the stack's own.
    elsewhere: dict[str, Events] = {}
