"""How each peer is started."""

import os
import signal

import envoy
import haproxy
import nginx
from identity import AUDIENCE, ISSUER
from machine import DidNotStart, free_port
from tidegate import Gateway


class Peer:
    """Something to send requests to. `tls`: its port with TLS; `helper`: a process that works for it."""

    def __init__(
        self, name, title, port, process, redis=None, helper=None, path="/tool1/x", token=None, before=None, tls=None
    ):
        self.name, self.title, self.port, self.path, self.token, self.tls = name, title, port, path, token, tls
        self.groups = {"proxy": process, "helper": helper, "redis": redis}
        self.before = before or (lambda: None)

    @property
    def enforces(self):
        return self.token is not None


def nginx_plain(world):
    port, tls = free_port(), free_port()
    certificate = (tls, world.issuer.certificate_file, world.issuer.server_key_file)
    process = world.nginx("nginx", nginx.plain(world.folder, port, world.upstream_port, certificate), port)
    yield Peer("nginx", "nginx, plain", port, process, tls=tls)


def haproxy_plain(world):
    port, tls = free_port(), free_port()
    text = haproxy.plain(port, (tls, world.issuer.server_pem_file), world.upstream_port)
    command = haproxy.command(world.settings.tools, world.folder, text)
    process = world.processes.start("haproxy", command, port, world.libraries())
    yield Peer("haproxy", "HAProxy, plain", port, process, tls=tls)


def pingora_plain(world):
    port, program = free_port(), f"{world.settings.compiled_pingora}/tidegate-bench-pingora"
    if not os.path.exists(program):
        raise RuntimeError("it could not be built")
    environment = {"UPSTREAM": f"127.0.0.1:{world.upstream_port}", "RUST_LOG": "error"}
    command = [program, f"127.0.0.1:{port}", "2"]
    # After a SIGTERM it drains for minutes.
    process = world.processes.start("pingora", command, port, environment, signal.SIGINT)
    yield Peer("pingora", "pingora-proxy, plain", port, process)


def envoy_plain(world):
    port = free_port()
    configuration = envoy.plain(port, world.upstream_port)
    command = envoy.command(world.settings.tools, world.folder, "envoy-plain", configuration)
    yield Peer("envoy-plain", "Envoy, plain", port, world.processes.start("envoy-plain", command, port))


def nginx_lua(world):
    port = free_port()
    text = nginx.with_lua(world.settings.tools, world.folder, port, world.upstream_port)
    environment = nginx.lua_environment(world.issuer, world.redis_port)
    process = world.nginx("nginx-lua", text, port, environment)
    yield Peer("nginx-lua", "nginx + Lua", port, process, world.redis_process, token=world.token)


def nginx_auth(world):
    port, helper_port = free_port(), free_port()
    command = [f"{world.settings.compiled}/authorize", f"127.0.0.1:{helper_port}"]
    helper = world.processes.start("nginx-auth-helper", command, helper_port, verifying(world))
    text = nginx.with_auth_request(world.folder, port, world.upstream_port, helper_port)
    process = world.nginx("nginx-auth", text, port)
    yield Peer("nginx-auth", "nginx auth_request", port, process, world.redis_process, helper, token=world.token)


def envoy_enforcing(world):
    port, helper_port = free_port(), free_port()
    command = [f"{world.settings.compiled}/helper", f"127.0.0.1:{helper_port}"]
    helper = world.processes.start("envoy-helper", command, helper_port, {"REDIS": f"127.0.0.1:{world.redis_port}"})
    configuration = envoy.enforcing(port, world.upstream_port, helper_port, world.issuer)
    command = envoy.command(world.settings.tools, world.folder, "envoy", configuration)
    process = world.processes.start("envoy", command, port)
    yield Peer("envoy", "Envoy, jwt_authn + ext_authz", port, process, world.redis_process, helper, token=world.token)


def floor(world):
    port = free_port()
    environment = {**verifying(world), "UPSTREAM": f"127.0.0.1:{world.upstream_port}"}
    command = [f"{world.settings.compiled}/floor", f"127.0.0.1:{port}", "2"]
    process = world.processes.start("floor", command, port, environment)
    yield Peer("floor", "floor (bare epoll)", port, process, world.redis_process, token=world.token)


def verifying(world):
    return {
        "REDIS": f"127.0.0.1:{world.redis_port}", "JWKS": world.issuer.jwks_file,
        "ISSUER": ISSUER, "AUDIENCE": AUDIENCE,
    }  # fmt: skip


def tidegate(world):
    """One process, two routes."""
    try:
        gateway = gateway_of(world, "tidegate")
        gateway.grant("alice")
    except (DidNotStart, RuntimeError) as fault:
        world.failures["tidegate-public"] = world.failures["tidegate-enforced"] = str(fault)
        return
    world.gateway = gateway
    yield tidegate_peer(gateway, "tidegate-public", "Tidegate, public route", path="/tool1/public")
    yield tidegate_peer(gateway, "tidegate-enforced", "Tidegate, enforced route", token=world.token)


def gateway_of(world, name):
    """A gateway with a store of its own."""
    redis, store = world.tidegate_store(f"{name}-redis")
    gateway = Gateway(
        world.processes, world.settings.binary, world.folder, store, world.issuer, world.upstream_port, name
    )
    gateway.redis = redis
    return gateway


def tidegate_peer(gateway, name, title, **more):
    return Peer(
        name, title, gateway.proxy, gateway.process, gateway.redis, before=gateway.forget_decisions,
        tls=gateway.proxy_tls, **more,
    )  # fmt: skip


# In the order of the tables.
STARTERS = {
    "nginx": nginx_plain, "haproxy": haproxy_plain, "pingora": pingora_plain, "envoy-plain": envoy_plain,
    "tidegate-public": tidegate, "tidegate-enforced": tidegate, "floor": floor,
    "nginx-lua": nginx_lua, "envoy": envoy_enforcing, "nginx-auth": nginx_auth,
}  # fmt: skip
