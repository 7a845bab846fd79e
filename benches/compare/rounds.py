"""Rounds of `wrk`, and the CPU time of everybody who took part."""

import os
import random
import re
import subprocess
import time

from machine import busy_seconds, cpu_ns, family

# Measured one after the other: what is compared most should see the same minute.
TOGETHER = [["tidegate-public", "tidegate-enforced", "floor"], ["nginx-lua"], ["envoy"], ["nginx"]]
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}


def run(world, settings, say):
    """The cells of every peer, in a fresh order each round."""
    cells = {name: [] for name in world.peers}
    reference = world.peers.get("nginx")
    chance = random.Random(7)
    for number in range(1, settings.rounds + 1):
        order = [list(group) for group in TOGETHER]
        chance.shuffle(order)
        for name in (name for group in order for name in group if name in world.peers):
            cell = measure(world, settings, world.peers[name], reference)
            cells[name].append(cell)
            say(f"  round {number}: {name:18} {cell['rate']:8.0f}/s {cell['cpu']:6.1f} us")
    return cells


def measure(world, settings, peer, reference):
    load(settings, peer, settings.warm_up)
    beside = None
    if reference:  # right before, so that a machine that changes its pace spoils no ratio
        beside = counted(world, settings, reference, settings.reference)
    peer.before()
    cell = counted(world, settings, peer, settings.seconds)
    if beside:
        cell["nginx_cpu"], cell["nginx_rate"] = beside["cpu"], beside["rate"]
    return cell


def counted(world, settings, peer, seconds):
    """Microseconds of CPU per request of each group, and how the requests fared."""
    groups = {name: family(process.pid) for name, process in peer.groups.items() if process}
    groups["upstream"] = family(world.upstream.pid)
    before = {name: cpu_ns(pids) for name, pids in groups.items()}
    machine, start = busy_seconds(), time.monotonic()
    cell = load(settings, peer, seconds)
    wall, after = time.monotonic() - start, busy_seconds()
    for name in ("proxy", "helper", "redis", "upstream"):
        spent = cpu_ns(groups[name]) - before[name] if name in groups else None
        cell[name] = None if spent is None else spent / 1e3 / cell["requests"]
    cell["cpu"] = cell["proxy"] + (cell["helper"] or 0)
    mine = sum(cell[name] or 0 for name in groups) * cell["requests"] / 1e6 + cell["wrk_seconds"]
    cell["foreign"] = max(0.0, after[0] - machine[0] - mine) / wall / os.cpu_count()
    cell["stolen"] = (after[1] - machine[1]) / wall / os.cpu_count()
    return cell


def load(settings, peer, seconds):
    command = [
        f"{settings.tools}/root/usr/bin/wrk", "-t1", f"-c{settings.connections}", f"-d{seconds}s", "--latency",
    ]  # fmt: skip
    if peer.token:
        command += ["-H", f"Authorization: Bearer {peer.token}"]
    command.append(f"http://127.0.0.1:{peer.port}{peer.path}")
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{settings.tools}/lib"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        out = process.stdout.read()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    except BaseException:
        process.kill()
        process.wait()
        raise
    requests = int(find(out, r"(\d+) requests in", "0"))
    if not requests:
        raise RuntimeError(f"no request of wrk was answered:\n{out}")
    return {
        "requests": requests,
        "rate": float(find(out, r"Requests/sec:\s+([\d.]+)", "0")),
        "p50": milliseconds(find(out, r"(?m)^\s+50%\s+(\S+)", "0us")),
        "p99": milliseconds(find(out, r"(?m)^\s+99%\s+(\S+)", "0us")),
        "refused": int(find(out, r"Non-2xx or 3xx responses: (\d+)", "0")),
        "broken": find(out, r"Socket errors: (.*)", ""),
        "wrk_seconds": used.ru_utime + used.ru_stime,
    }


def find(text, pattern, otherwise):
    found = re.search(pattern, text)
    return found[1] if found else otherwise


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * UNITS[unit]
