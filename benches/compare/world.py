"""Everything that one run starts: Redis, the upstream, the peers, Tidegate."""

import os
import platform
import subprocess

import envoy
import nginx
from identity import AUDIENCE, ISSUER, Issuer
from machine import DidNotStart, free_port
from tidegate import ROOT, Gateway

PEERS = ["nginx", "tidegate-public", "tidegate-enforced", "floor", "nginx-lua", "envoy"]


class Peer:
    """Something to send requests to. `helper`: a process that works for it."""

    def __init__(self, name, title, port, process, redis=None, helper=None, path="/tool1/x", token=None, before=None):
        self.name, self.title, self.port, self.path, self.token = name, title, port, path, token
        self.groups = {"proxy": process, "helper": helper, "redis": redis}
        self.before = before or (lambda: None)

    @property
    def enforces(self):
        return self.token is not None


class World:
    def __init__(self, processes, settings):
        self.processes, self.settings = processes, settings
        self.folder = processes.folder
        self.issuer = Issuer(self.folder)
        self.token = self.issuer.token("alice")
        self.upstream_port = free_port()
        self.upstream = self.nginx("upstream", nginx.upstream(self.folder, self.upstream_port), self.upstream_port)
        self.peers, self.failures = {}, {}

    def start(self, wanted):
        """Starts what is wanted; what does not start is told and left out."""
        redis = None
        if {"floor", "nginx-lua", "envoy"} & set(wanted):
            self.redis_port, redis = self.redis("redis")
            self.redis_cli(self.redis_port, "SET", "grant:alice:tool1", "1")
        starters = {
            "nginx": self.plain, "nginx-lua": self.lua, "envoy": self.envoy, "floor": self.floor,
            "tidegate-public": self.tidegate, "tidegate-enforced": self.tidegate,
        }
        for name in wanted:
            if name in self.peers or name in self.failures:
                continue
            try:
                for peer in starters[name](redis):
                    if peer.name in wanted:
                        self.peers[peer.name] = peer
            except (DidNotStart, RuntimeError, OSError) as fault:
                self.failures[name] = str(fault)

    def redis(self, name):
        """Its own for Tidegate, so that what Tidegate does in the background counts for Tidegate only."""
        port = free_port()
        command = [
            f"{self.settings.servers}/bin/redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", self.folder, "--daemonize", "no", "--maxmemory-policy", "noeviction",
        ]  # fmt: skip
        return port, self.processes.start(name, command, port)

    def redis_cli(self, port, *command):
        program = [f"{self.settings.servers}/bin/redis-cli", "-p", str(port), *command]
        return subprocess.run(program, check=True, capture_output=True, text=True).stdout.strip()

    def nginx(self, name, text, port, environment=None):
        command = nginx.command(self.settings.tools, self.folder, name, text)
        libraries = {"LD_LIBRARY_PATH": f"{self.settings.tools}/lib"}
        return self.processes.start(name, command, port, {**libraries, **(environment or {})})

    def plain(self, _redis):
        port = free_port()
        process = self.nginx("nginx", nginx.plain(self.folder, port, self.upstream_port), port)
        yield Peer("nginx", "nginx, plain", port, process)

    def lua(self, redis):
        port = free_port()
        text = nginx.with_lua(self.settings.tools, self.folder, port, self.upstream_port)
        environment = nginx.lua_environment(self.issuer, self.redis_port)
        process = self.nginx("nginx-lua", text, port, environment)
        yield Peer("nginx-lua", "nginx + Lua", port, process, redis, token=self.token)

    def envoy(self, redis):
        port, helper_port = free_port(), free_port()
        command = [f"{self.settings.compiled}/helper", f"127.0.0.1:{helper_port}"]
        environment = {"REDIS": f"127.0.0.1:{self.redis_port}"}
        helper = self.processes.start("envoy-helper", command, helper_port, environment)
        configuration = envoy.configuration(port, self.upstream_port, helper_port, self.issuer)
        command = envoy.command(self.settings.tools, self.folder, configuration)
        process = self.processes.start("envoy", command, port)
        yield Peer("envoy", "Envoy, jwt_authn + ext_authz", port, process, redis, helper, token=self.token)

    def floor(self, redis):
        port = free_port()
        environment = {
            "REDIS": f"127.0.0.1:{self.redis_port}", "UPSTREAM": f"127.0.0.1:{self.upstream_port}",
            "JWKS": self.issuer.jwks_file, "ISSUER": ISSUER, "AUDIENCE": AUDIENCE,
        }  # fmt: skip
        command = [f"{self.settings.compiled}/floor", f"127.0.0.1:{port}", "2"]
        process = self.processes.start("floor", command, port, environment)
        yield Peer("floor", "floor (bare epoll)", port, process, redis, token=self.token)

    def tidegate(self, _redis):
        """One process, two routes."""
        try:
            redis, store = self.tidegate_store("tidegate-redis")
            gateway = Gateway(
                self.processes, self.settings.binary, self.folder, store, self.issuer, self.upstream_port
            )
            gateway.grant("alice")
        except (DidNotStart, RuntimeError) as fault:
            self.failures["tidegate-public"] = self.failures["tidegate-enforced"] = str(fault)
            return
        common = {"port": gateway.proxy, "process": gateway.process, "redis": redis, "before": gateway.forget_decisions}
        yield Peer("tidegate-public", "Tidegate, public route", path="/tool1/public", **common)
        yield Peer("tidegate-enforced", "Tidegate, enforced route", token=self.token, **common)

    def tidegate_store(self, name):
        if self.settings.store == "embedded":
            return None, f"embedded: {{ path: {self.folder}/store }}"
        port, redis = self.redis(name)
        return redis, f'redis: {{ url: "redis://127.0.0.1:{port}" }}'

    def versions(self):
        """What was measured, for the head of a report."""
        tools, servers = self.settings.tools, self.settings.servers
        root = {"LD_LIBRARY_PATH": f"{tools}/lib"}
        commit = told(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"])
        changed = told(["git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no"])
        return {
            "commit": commit + (" (changed)" if changed else ""),
            "tidegate": f"{told([self.settings.binary, '--version'])}, store: {self.settings.store}",
            "nginx": told([f"{tools}/root/usr/sbin/nginx", "-v"], root),
            "envoy": told([f"{tools}/envoy", "--version"]),
            "redis": told([f"{servers}/bin/redis-server", "--version"]),
            "wrk": told([f"{tools}/root/usr/bin/wrk", "-v"], root).split(" Copyright")[0],
            "python": platform.python_version(),
        }


def told(command, environment=None):
    """The first line that a program says about itself, without where it is."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    except OSError:
        return "not there"
    lines = (line.strip() for line in (result.stdout + result.stderr).splitlines())
    return next(filter(None, lines), "").removeprefix(f"{command[0]}  version: ")
