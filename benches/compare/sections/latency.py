"""What a peer adds to the latency of the upstream at a rate that it can carry."""

from statistics import median

import report
import rounds
from client import Own
from rounds import Row

from . import Section

SHARES = (30, 70)
MEASURED = ("nginx", "haproxy", "tidegate-public", "tidegate-enforced", "nginx-lua")


def run(world, settings, say):
    enforced = world.peers.get("tidegate-enforced") or world.direct
    full = rounds.counted(world, Row("", "", enforced, Own(settings)), max(2, settings.seconds))["rate"]
    groups = []
    for share in SHARES:
        client = Own(settings, rate=round(full * share / 100))
        peers = [world.direct, *(world.peers[name] for name in MEASURED if name in world.peers)]
        rows = [Row(f"{peer.name}@{share}", f"{peer.title}, {share} %", peer, client) for peer in peers]
        groups.append(rows)
    cells = rounds.run(world, settings, groups, say)
    lines = [
        "| load | peer | p50 ms | p99 ms | added p50 ms | added p99 ms | CPU us |",
        "|---|---|---|---|---|---|---|",
    ]
    for share, rows in zip(SHARES, groups):
        lines += [line(share, row, cells) for row in rows]
    note = (
        f"{', '.join(f'{share} %' for share in SHARES)} of the {full:,.0f} requests/s that saturate Tidegate's enforced "
        "route; the same rate for everybody, sent whether or not answers come (64 connections). A request's time "
        "begins when it is due. Added: less the upstream asked directly in the same round. "
        f"Medians of {settings.rounds} rounds of {settings.seconds} s."
    )
    return Section("Latency at a fixed rate", note, ["\n".join(lines)], cells)


def added(cells, name, share, column):
    """More than the direct call, round by round."""
    pairs = zip(cells.get(f"{name}@{share}", []), cells.get(f"direct@{share}", []))
    return [cell[column] - direct[column] for cell, direct in pairs]


def line(share, row, cells):
    of = lambda column: f"{median(cell[column] for cell in cells[row.name]):.2f}"  # noqa: E731
    more = ["-", "-"]
    if row.peer.name != "direct":
        more = [f"{median(added(cells, row.peer.name, share, column)):.2f}" for column in ("p50", "p99")]
    cpu = report.number(report.middle(cells[row.name], "cpu"))
    return f"| {share} % | {row.peer.title} | {of('p50')} | {of('p99')} | {more[0]} | {more[1]} | {cpu} |"
