"""/healthz and /readyz, for whoever decides if a process gets traffic or is started again."""

from collections.abc import Mapping, Sequence

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from billfold.platform.telemetry import health


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "alive"


def health_handlers(checks: Mapping[str, health.Check]) -> Sequence[HTTPRouteHandler]:
    """The two handlers; `checks` are the process's dependencies by their names."""

    @get("/healthz")
    async def alive() -> Alive:
        return Alive()

    @get("/readyz")
    async def ready() -> Response[health.Readiness]:
        found = await health.readiness(checks)
        return Response(found, status_code=200 if found.status == "ready" else 503)

    return [alive, ready]
