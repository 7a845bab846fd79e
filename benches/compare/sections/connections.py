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
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return min(10_000, files // 2 - files // 40)


def shapes():
    """(connections, requests at once)"""
    return [(1, 1), (64, 64), (1_000, 1_000), (1_000, 64), (most(), 64)]


def run(world, settings, say):
    groups = []
    for name in MEASURED:
        peer = world.peers.get(name)
        rows = []
        for count, at_once in shapes():
            client = Own(settings, connections=count, in_flight=at_once)
            title = f"{peer.title if peer else name}, {count:,} connections, {at_once:,} busy"
            rows.append(Row(f"{name}, {count}, {at_once}", title, peer, client, f"{name}, 64, 64"))
        groups.append(rows)
    cells = rounds.run(world, settings, groups, say)
    note = (
        f"Connections take turns, so that all are used but only some are busy at once. {most():,} connections is what the "
        f"limit of {resource.getrlimit(resource.RLIMIT_NOFILE)[1]:,} open files leaves of 10,000; were all of them "
        "busy, every one would need another to the upstream. Ratios are to 64 connections of the same peer."
    )
    return Section("Connections", note, [report.table(groups, cells, "64 connections", memory=True)], cells)
