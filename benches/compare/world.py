"""What all peers of a run share: the issuer, the upstream, Redis; and what was measured."""

import os
import platform
import subprocess

import nginx
import peers
from identity import Issuer
from machine import DidNotStart, free_port
from tidegate import ROOT


class World:
    def __init__(self, processes, settings):
        self.processes, self.settings = processes, settings
        self.folder = settings.folder = processes.folder
        self.issuer = Issuer(self.folder)
        self.token = self.issuer.token("alice")
        self.upstream_port = free_port()
        text = nginx.upstream(settings.tools, self.folder, self.upstream_port)
        self.upstream = self.nginx("upstream", text, self.upstream_port)
        self.direct = peers.Peer("direct", "upstream, direct", self.upstream_port, None)
        self.peers, self.failures = {}, {}

    def start(self, wanted):
        """Starts what is wanted; what does not start is told and left out."""
        self.redis_port, self.redis_process = self.redis("redis")
        self.redis_cli(self.redis_port, "SET", "grant:alice:tool1", "1")
        for name in wanted:
            if name in self.peers or name in self.failures:
                continue
            try:
                for peer in peers.STARTERS[name](self):
                    if peer.name in wanted:
                        self.peers[peer.name] = peer
            except (DidNotStart, RuntimeError, OSError) as fault:
                self.failures[name] = str(fault)
        self.peers = {name: self.peers[name] for name in peers.STARTERS if name in self.peers}

    def redis(self, name):
        """Its own for Tidegate, so that what Tidegate does in the background counts for Tidegate only."""
        port = free_port()
        command = [
            f"{self.settings.servers}/bin/redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", self.folder, "--daemonize", "no", "--maxmemory-policy", "noeviction",
        ]  # fmt: skip
        return port, self.processes.start(name, command, port)

    def redis_cli(self, port, *command, input=None):
        program = [f"{self.settings.servers}/bin/redis-cli", "-p", str(port), *command]
        return subprocess.run(program, check=True, capture_output=True, text=True, input=input).stdout.strip()

    def nginx(self, name, text, port, environment=None):
        command = nginx.command(self.settings.tools, self.folder, name, text)
        return self.processes.start(name, command, port, {**self.libraries(), **(environment or {})})

    def libraries(self):
        return {"LD_LIBRARY_PATH": f"{self.settings.tools}/lib"}

    def tidegate_store(self, name):
        if self.settings.store == "embedded":
            return None, f"embedded: {{ path: {self.folder}/{name} }}"
        port, redis = self.redis(name)
        return redis, f'redis: {{ url: "redis://127.0.0.1:{port}" }}'

    def versions(self):
        """What was measured, for the head of a report."""
        tools, servers, root = self.settings.tools, self.settings.servers, self.libraries()
        commit = told(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"])
        changed = told(["git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no"])
        return {
            "commit": commit + (" (changed)" if changed else ""),
            "tidegate": f"{told([self.settings.binary, '--version'])}, store: {self.settings.store}",
            "nginx": told([f"{tools}/root/usr/sbin/nginx", "-v"], root),
            "haproxy": told([f"{tools}/root/usr/sbin/haproxy", "-v"], root).split(" - ")[0],
            "pingora": pingora_version(),
            "envoy": told([f"{tools}/envoy", "--version"]),
            "redis": told([f"{servers}/bin/redis-server", "--version"]),
            "wrk": told([f"{tools}/root/usr/bin/wrk", "-v"], root).split(" Copyright")[0],
            "h2load": told([f"{tools}/root/usr/bin/h2load", "--version"], root),
            "python": platform.python_version(),
        }


def pingora_version():
    with open(os.path.join(ROOT, "benches", "compare", "peers", "pingora", "Cargo.lock")) as file:
        after = file.read().partition('name = "pingora-proxy"\nversion = "')[2]
    return f"pingora-proxy {after.partition(chr(34))[0]}"


def told(command, environment=None):
    """The first line that a program says about itself, without where it is."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    except OSError:
        return "not there"
    lines = (line.strip() for line in (result.stdout + result.stderr).splitlines())
    return next(filter(None, lines), "").removeprefix(f"{command[0]}  version: ")
