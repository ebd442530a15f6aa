"""The role `api`: HTTP, in front of the facades."""

from __future__ import annotations

import gc
import ssl

import structlog
import uvloop
from prometheus_client import REGISTRY

import billfold
from billfold.app import container, late_chains, limits, refused_events, settings
from billfold.audit import rest as audit_rest
from billfold.custody import rest as custody_rest
from billfold.identity import contracts
from billfold.identity import rest as identity_rest
from billfold.kernel import origin
from billfold.kernel.origin import Origin
from billfold.notifications import rest as notifications_rest
from billfold.platform import tls, web
from billfold.platform.telemetry import listener, logs
from billfold.platform.web import server
from billfold.platform.web.addresses import Addresses
from billfold.platform.web.cors import Cors
from billfold.platform.web.measuring import Requests
from billfold.platform.web.witness import Witness
from billfold.wallets import rest as wallets_rest

ROLE = "api"
#: A collection of the youngest objects after so many new ones. A request leaves no cycles behind, so looking for them
#: after every 700 objects, as Python does by itself, finds nothing and costs a twentieth of the time.
_GC_THRESHOLD = 20_000

log = structlog.get_logger(__name__)


def run(tree: settings.Settings) -> None:
    """Serve the API until SIGTERM or Ctrl-C.

    Raises:
        SettingInvalid, DatabaseUnavailable, PortTaken: it can't start.
    """
    logs.configure(role=ROLE, level=tree.log.level, form=tree.log.format)
    if tree.audit.dsn is not None:
        origin.begin(Origin(channel="api"))
    uvloop.run(_serve(tree))


async def _serve(tree: settings.Settings) -> None:
    requests = Requests()
    REGISTRY.register(requests)
    async with (
        limits.opened(tree.limits) as allowed,
        container.opened(
            tree,
            name=f"billfold {ROLE}",
            attempts=allowed.attempts,
            alias_limits=allowed.aliases,
            with_balances=True,
            with_history=True,
        ) as parts,
        listener.listening(
            REGISTRY,
            host=tree.metrics.host,
            port=tree.api.metrics_port,
            setting=settings.variable("api.metrics_port"),
        ),
        late_chains.warmed(one.chain for one in parts.custody.serving.all),
    ):
        # Master keys that open nothing are found now, and not at the first login.
        await parts.identity.tokens.published()
        app = web.build(
            [
                identity_rest.part(parts.identity),
                wallets_rest.part(parts.wallets),
                custody_rest.part(parts.custody),
                notifications_rest.part(parts.notifications),
                audit_rest.part(parts.audit),
                refused_events.part(parts.database),
            ],
            authenticator=identity_rest.Bearer(parts.identity),
            checks=parts.checks(),
            requests=requests,
            public_url=tree.api.url,
            version=billfold.__version__,
            scopes=web.Scopes(every=contracts.ALL_SCOPES, personal=contracts.PERSONAL),
            limits=allowed.edge,
            addresses=_addresses(tree.api),
            cors=_cors(tree.api),
            # Its own address is that of this machine alone, whose other servers are not ours to speak for.
            hsts=(tree.api.public_url or "").startswith("https://"),
            witness=Witness(parts.database) if tree.audit.dsn is not None else None,
        )
        secured = _tls(tree.api)
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        log.info("listening", url=tree.api.local_url)
        stopping = parts.notifications.live.stop
        await server.serve(app, host=tree.api.host, port=tree.api.port, tls=secured, stopping=stopping)
        log.info("stopped")


def _addresses(api: settings.Api) -> Addresses:
    try:
        return Addresses(api.trusted_proxies, header=api.forwarded_header)
    except ValueError as error:
        raise settings.SettingInvalid(f"api.trusted_proxies is wrong: {error}.") from error


def _tls(api: settings.Api) -> ssl.SSLContext | None:
    if api.tls_certificate is None and api.tls_key is None:
        return None
    if api.tls_certificate is None or api.tls_key is None:
        missing, given = ("certificate", "key") if api.tls_certificate is None else ("key", "certificate")
        raise settings.SettingInvalid(f"api.tls_{missing} is missing: api.tls_{given} alone is not enough for TLS.")
    try:
        return tls.server_context(api.tls_certificate, api.tls_key)
    except tls.CertificateUnusable as error:
        raise settings.SettingInvalid(f"api.tls_certificate or api.tls_key is wrong: {error}.") from error


def _cors(api: settings.Api) -> Cors | None:
    try:
        return Cors(api.cors_origins) if api.cors_origins else None
    except ValueError as error:
        raise settings.SettingInvalid(f"api.cors_origins is wrong: {error}.") from error
