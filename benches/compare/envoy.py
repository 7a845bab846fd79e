"""Envoy: plain, and with jwt_authn that remembers tokens, then ext_authz over gRPC to the helper that
reads Redis."""

import json
import os

from identity import AUDIENCE, ISSUER

TYPES = "type.googleapis.com/envoy.extensions"


def command(tools, folder, name, configuration):
    path = os.path.join(folder, f"{name}.json")
    with open(path, "w") as file:
        json.dump(configuration, file, indent=1)
    return [f"{tools}/envoy", "-c", path, "--concurrency", "2", "--disable-hot-restart", "-l", "error"]


def typed(kind, **fields):
    return {"@type": f"{TYPES}.{kind}", **fields}


def cluster(name, port, **more):
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    many = {"max_connections": 8192, "max_requests": 16384, "max_pending_requests": 16384}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "circuit_breakers": {"thresholds": [many]},  # the default of 1,024 refuses under load
        **more,
    }


def tokens(issuer):
    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "forward": True,
        "clock_skew_seconds": 1,
        "local_jwks": {"filename": issuer.jwks_file},
        "claim_to_headers": [{"header_name": "x-sub", "claim_name": "sub"}],
        "jwt_cache_config": {"jwt_cache_size": 10000},  # off by default
    }
    rules = [{"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}}]
    name = "envoy.filters.http.jwt_authn"
    kind = "filters.http.jwt_authn.v3.JwtAuthentication"
    return {"name": name, "typed_config": typed(kind, providers={"idp": provider}, rules=rules)}


def grants():
    service = {"envoy_grpc": {"cluster_name": "helper"}, "timeout": "0.5s"}
    fields = {
        "transport_api_version": "V3",
        "failure_mode_allow": False,
        "status_on_error": {"code": 503},
        "allowed_headers": {"patterns": [{"exact": "x-sub"}]},
        "grpc_service": service,
    }
    kind = "filters.http.ext_authz.v3.ExtAuthz"
    return {"name": "envoy.filters.http.ext_authz", "typed_config": typed(kind, **fields)}


def plain(port, upstream_port):
    return configuration(port, upstream_port, [], [])


def enforcing(port, upstream_port, helper_port, issuer):
    http2 = typed("upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": {}})
    spoken = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2}
    helper = cluster("helper", helper_port, typed_extension_protocol_options=spoken)
    return configuration(port, upstream_port, [tokens(issuer), grants()], [helper])


def configuration(port, upstream_port, filters, clusters):
    router = typed("filters.http.router.v3.Router", suppress_envoy_headers=True, dynamic_stats=False)
    route = {"match": {"prefix": "/"}, "route": {"cluster": "tool", "timeout": "0s"}}
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bench",
        codec_type="HTTP1",
        generate_request_id=False,
        use_remote_address=False,
        skip_xff_append=True,
        normalize_path=True,
        merge_slashes=True,
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        http_filters=[*filters, {"name": "envoy.filters.http.router", "typed_config": router}],
    )
    listener = {
        "name": "proxy",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "enable_reuse_port": True,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster("tool", upstream_port), *clusters]}}
