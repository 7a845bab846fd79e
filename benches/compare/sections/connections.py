"""What open connections cost."""

import resource

import report
import rounds
from client import Own
from rounds import Row

from . import Section

MEASURED = ("nginx", "tidegate-enforced")


def most():
    """10,000, or what the limit of open files leaves: Tidegate gives half of them to clients, and its
    cores share these out, of which one may get a few more than the other."""
    return min(10_000, files() // 2 - files() // 40)


def files():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def shapes():
    """(connections, requests at once)"""
    return [(1, 1), (64, 64), (1_000, 1_000), (1_000, 64), (most(), 64)]


def run(world, settings, say):
    groups = [
        [row_of(settings, world.peers[name], *shape) for shape in shapes()] for name in MEASURED if name in world.peers
    ]
    cells = rounds.run(world, settings, groups, say)
    note = (
        "Connections take turns, so that all are used but only some are busy at once: each that is busy needs another "
        f"one to the upstream, and {files():,} files may be open. Tidegate gives clients half of that, which is why the "
        f"most is {most():,}. Ratios are to 64 connections of the same peer."
    )
    return Section("Connections", note, [report.table(groups, cells, "64 connections", memory=True)], cells)


def row_of(settings, peer, count, busy):
    title = f"{peer.title}, {count:,} connections, {busy:,} busy"
    client = Own(settings, connections=count, in_flight=busy)
    return Row(f"{peer.name}, {count}, {busy}", title, peer, client, f"{peer.name}, 64, 64")
