"""Processes that are always stopped, free ports, and what the scheduler says they used."""

import atexit
import glob
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import time


class DidNotStart(Exception):
    pass


class Processes:
    """Every process of a run; `stop` ends them by process id, the youngest first."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []
        os.makedirs(folder, exist_ok=True)
        atexit.register(self.stop)
        for name in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, lambda *_: sys.exit(1))

    def start(self, name, command, port=None, environment=None, stop=signal.SIGTERM):
        """With `port`: returns once somebody listens there. `stop`: what ends it quickly."""
        log = os.path.join(self.folder, f"{name}.log")
        with open(log, "ab") as out:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # a Ctrl-C is for this script, which then stops them in order
            )
        process.name, process.log, process.stop = name, log, stop
        self.running.append(process)
        if port:
            self.wait(process, lambda: listens(port), f"port {port}")
        return process

    def wait(self, process, done, what, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = done()
            if found:
                return found
            if process.poll() is not None:
                break
            time.sleep(0.02)
        raise DidNotStart(f"{process.name} did not give {what}:\n{tail(process.log)}")

    def end(self, process):
        self.running.remove(process)
        if process.poll() is None:
            process.send_signal(process.stop)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def stop(self):
        while self.running:
            self.end(self.running[-1])


def tail(path, size=2000):
    with open(path, "rb") as file:
        return file.read()[-size:].decode(errors="replace")


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


_given = set()


def free_port():
    """Below the range from which the kernel gives ports to outgoing connections."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port


def family(pid):
    """A process and everything it started."""
    members = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        for child in read(path).split():
            members += family(int(child))
    return members


def cpu_ns(pids):
    """Time on a CPU of all their threads, in nanoseconds."""
    stats = (read(path) for pid in pids for path in glob.glob(f"/proc/{pid}/task/*/schedstat"))
    return sum(int(stat.split()[0]) for stat in stats if stat)


def resident(pids):
    """MiB in memory."""
    pages = sum(int((read(f"/proc/{pid}/statm") or "0 0").split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def busy_seconds():
    """Of all CPUs since boot, and what the hypervisor took of it."""
    fields = [int(field) for field in read("/proc/stat").splitlines()[0].split()[1:9]]
    ticks = os.sysconf("SC_CLK_TCK")
    return (sum(fields) - fields[3] - fields[4]) / ticks, fields[7] / ticks


def description():
    cpu = next((line for line in read("/proc/cpuinfo").splitlines() if "model name" in line), ": unknown")
    return f"{cpu.split(':', 1)[1].strip()} x {os.cpu_count()}, Linux {platform.release()}"
