"""The configuration of Envoy as a load balancer over the replicas of the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def configured(port: int, *, admin: int, replicas: Sequence[int]) -> dict[str, Any]:
    """It asks the replicas whether they are well, and in turns takes the next that is."""
    manager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    # What has not reached a replica goes to the other one, as with the gateway for production.
    again = {
        "retry_on": "connect-failure,refused-stream",
        "num_retries": 2,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "api", "timeout": "30s", "retry_policy": again}}
    http = {
        "@type": manager,
        "stat_prefix": "topology",
        "route_config": {"virtual_hosts": [{"name": "api", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": http}]
    endpoints = [{"endpoint": {"address": _address(replica)}} for replica in replicas]
    cluster = {
        "name": "api",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "api", "endpoints": [{"lb_endpoints": endpoints}]},
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "0.5s",
                "unhealthy_threshold": 1,
                "healthy_threshold": 1,
                "http_health_check": {"path": "/readyz"},
            }
        ],
    }
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {
            "listeners": [{"name": "http", "address": _address(port), "filter_chains": [{"filters": filters}]}],
            "clusters": [cluster],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
