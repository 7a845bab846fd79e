"""Who sends the requests: `wrk`, `h2load`, and our own client for what these two cannot do.

A client is opened for a peer and a number of seconds, then runs once. What it found is a cell:
requests, rate, latencies in ms, refusals, what broke, and the CPU time of the client itself.
"""

import json
import os
import re
import subprocess

from machine import cpu_ns

LUA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lua")
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}


class Client:
    """`token` and `path`: instead of the peer's. `close`: a connection for each request."""

    warms_itself = False

    def __init__(self, settings, connections=None, token=None, path=None, close=False):
        self.settings, self.connections = settings, connections or settings.connections
        self.token, self.path, self.close_each = token, path, close

    def headers(self, peer):
        token = self.token or peer.token
        headers = [f"Authorization: Bearer {token}"] if token else []
        return headers + ["Connection: close"] if self.close_each else headers

    def open(self, peer, seconds):
        return Program(self.command(peer, seconds), self.settings, self.understand)


class Program:
    """A program that runs from its start to its end."""

    def __init__(self, command, settings, understand):
        self.command, self.understand = [str(part) for part in command], understand
        self.environment = {**os.environ, "LD_LIBRARY_PATH": f"{settings.tools}/lib"}

    def run(self):
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True, env=self.environment)
        try:
            out = process.stdout.read()
            _, _, used = os.wait4(process.pid, 0)
            process.returncode = 0
        except BaseException:
            process.kill()
            process.wait()
            raise
        cell = self.understand(out)
        if not cell["requests"]:
            raise RuntimeError(f"no request was answered:\n{out[-2000:]}")
        return {**cell, "client_seconds": used.ru_utime + used.ru_stime}

    def close(self):
        pass


class Wrk(Client):
    """A closed loop over HTTP/1.1. `body`: so many bytes to POST."""

    def __init__(self, settings, body=None, **more):
        super().__init__(settings, **more)
        self.body = body

    def command(self, peer, seconds):
        command = [
            f"{self.settings.tools}/root/usr/bin/wrk",
            "-t1",
            f"-c{self.connections}",
            f"-d{seconds}s",
            "--latency",
        ]
        for header in self.headers(peer):
            command += ["-H", header]
        if self.body:
            command += ["-s", f"{LUA}/upload.lua"]
        command.append(f"http://127.0.0.1:{peer.port}{self.path or peer.path}")
        return command + (["--", str(self.body)] if self.body else [])

    @staticmethod
    def understand(out):
        return {
            "requests": int(find(out, r"(\d+) requests in", "0")),
            "rate": float(find(out, r"Requests/sec:\s+([\d.]+)", "0")),
            "p50": milliseconds(find(out, r"(?m)^\s+50%\s+(\S+)", "0us")),
            "p99": milliseconds(find(out, r"(?m)^\s+99%\s+(\S+)", "0us")),
            "refused": int(find(out, r"Non-2xx or 3xx responses: (\d+)", "0")),
            "broken": find(out, r"Socket errors: (.*)", ""),
        }


class H2load(Client):
    """A closed loop over TLS. `streams`: requests at once on a connection of HTTP/2; without, HTTP/1.1."""

    def __init__(self, settings, streams=None, **more):
        super().__init__(settings, **more)
        self.streams, self.log = streams, os.path.join(settings.folder, "h2load.log")

    def command(self, peer, seconds):
        command = [f"{self.settings.tools}/root/usr/bin/h2load", "-t1", f"-c{self.connections}", f"-D{seconds}"]
        command += ["-m", self.streams] if self.streams else ["--h1", "-m", 1]
        for header in self.headers(peer):
            command += ["-H", header]
        if os.path.exists(self.log):
            os.remove(self.log)
        return [*command, f"--log-file={self.log}", f"https://127.0.0.1:{peer.tls}{self.path or peer.path}"]

    def understand(self, out):
        done, failed = find(out, r"requests: .* (\d+) done", "0"), find(out, r"succeeded, (\d+) failed", "0")
        with open(self.log) as file:
            took = sorted(int(line.split("\t")[2]) for line in file)
        at = lambda share: took[len(took) * share // 100] / 1e3 if took else 0.0  # noqa: E731
        errors = int(find(out, r"(\d+) errored", "0"))
        return {
            "requests": int(done),
            "rate": float(find(out, r"finished in [^,]+, ([\d.]+) req/s", "0")),
            "p50": at(50),
            "p99": at(99),
            "refused": max(0, int(failed) - errors),
            "broken": f"{errors} errors" if errors else "",
        }


class Own(Client):
    """Our own (`peers/src/bin/load`): a fixed rate, many connections, many tokens, tokens shown once."""

    warms_itself = True

    def __init__(self, settings, warm_up=0.5, **more):
        own = {key: more.pop(key) for key in ("rate", "in_flight", "tokens", "once", "body", "warm_passes") if key in more}
        super().__init__(settings, **more)
        self.warm_up = warm_up
        self.fields = [f"{name.replace('_', '-')}={value}" for name, value in own.items()]
        self.one_token = "tokens" not in own

    def open(self, peer, seconds):
        fields = [*self.fields, f"connections={self.connections}", f"seconds={seconds}", f"warm-up={self.warm_up}"]
        if self.one_token and (self.token or peer.token):
            path = os.path.join(self.settings.folder, "one-token")
            with open(path, "w") as file:
                file.write(self.token or peer.token)
            fields.append(f"tokens={path}")
        address = f"127.0.0.1:{peer.port}"
        return Opened([f"{self.settings.compiled}/load", address, self.path or peer.path, *fields])


class Opened:
    """Our own client with its connections open, until `close`."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.hear()
        except BaseException:
            self.close()
            raise

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the client ended early")
        return line

    def run(self):
        before = cpu_ns([self.process.pid])
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        told = json.loads(self.hear())
        spent = (cpu_ns([self.process.pid]) - before) / 1e9
        if not told["requests"]:
            raise RuntimeError("no request was answered")
        broken = [f"{told[what]} {what}" for what in ("broken", "unanswered") if told[what]]
        return {
            "requests": told["requests"],
            "rate": told["requests"] / told["seconds"],
            "p50": told["p50_us"] / 1e3,
            "p99": told["p99_us"] / 1e3,
            "refused": told["refused"],
            "broken": ", ".join(broken),
            "client_seconds": spent,
        }

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def find(text, pattern, otherwise):
    found = re.search(pattern, text)
    return found[1] if found else otherwise


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * UNITS[unit]
