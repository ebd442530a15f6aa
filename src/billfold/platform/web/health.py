"""/healthz and /readyz, for whoever decides if a process gets traffic or is started again."""

from collections.abc import Mapping, Sequence

import msgspec
import structlog
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from billfold.platform.telemetry import health

READY = "/readyz"

log = structlog.get_logger(__name__)


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "alive"


def health_handlers(checks: Mapping[str, health.Check]) -> Sequence[HTTPRouteHandler]:
    """The two handlers; `checks` are the process's dependencies by their names."""

    @get("/healthz")
    async def alive() -> Alive:
        return Alive()

    told = False

    @get(READY)
    async def ready() -> Response[health.Readiness]:
        nonlocal told
        found = await health.readiness(checks)
        away = {name: one.detail for name, one in found.dependencies.items() if one.state == "down"}
        if away and not told:
            log.warning("not ready", **away)
        elif told and not away:
            log.info("ready again")
        told = bool(away)
        return Response(found, status_code=200 if found.status == "ready" else 503)

    return [alive, ready]
