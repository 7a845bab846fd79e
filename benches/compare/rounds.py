"""Rounds of load, and the CPU time of everybody who took part."""

import os
import random
import time

from machine import busy_seconds, cpu_ns, family, resident


class Row:
    """One line of a table: a peer under a load. `base`: the name of the line that it is compared with;
    `refuses`: every answer has to be a refusal."""

    def __init__(self, name, title, peer, client, base=None, refuses=False):
        self.name, self.title, self.peer, self.client = name, title, peer, client
        self.base, self.refuses = base, refuses


def rows_of(world, names, client, kind="", base="nginx", refuses=False):
    """A line for each of these peers that is there, compared with that of `base`."""
    found = [world.peers[name] for name in names if name in world.peers]
    title = f", {kind}" if kind else ""
    return [
        Row(f"{peer.name}{title}", f"{peer.title}{title}", peer, client, f"{base}{title}", refuses) for peer in found
    ]


def run(world, settings, groups, say, reference=None):
    """The cells of every row: name -> one a round. `groups` keep their order, and change places."""
    cells = {row.name: [] for group in groups for row in group}
    chance = random.Random(7)
    for number in range(1, settings.rounds + 1):
        order = list(groups)
        chance.shuffle(order)
        for row in (row for group in order for row in group):
            cell = measure(world, settings, row, reference)
            if row.refuses:
                cell["refused"] = abs(cell["requests"] - cell["refused"])
            cells[row.name].append(cell)
            cpu = "" if cell["cpu"] is None else f"{cell['cpu']:6.1f} us"
            say(f"  round {number}: {row.title:44} {cell['rate']:8.0f}/s {cpu}")
    return cells


def measure(world, settings, row, reference=None):
    """`reference`: measured for a second right before, so that a machine that changes its pace spoils
    no ratio."""
    if settings.warm_up and not row.client.warms_itself:
        row.client.open(row.peer, settings.warm_up).run()
    beside = counted(world, reference, 1) if reference else None
    row.peer.before()
    cell = counted(world, row, settings.seconds)
    if beside:
        cell["nginx_cpu"], cell["nginx_rate"] = beside["cpu"], beside["rate"]
    return cell


def counted(world, row, seconds):
    """Microseconds of CPU per request of each group, and how the requests fared."""
    opened = row.client.open(row.peer, seconds)
    try:
        groups = {name: family(process.pid) for name, process in row.peer.groups.items() if process}
        groups["upstream"] = family(world.upstream.pid)
        before = {name: cpu_ns(pids) for name, pids in groups.items()}
        machine, start = busy_seconds(), time.monotonic()
        cell = opened.run()
        wall, after = time.monotonic() - start, busy_seconds()
        for name in ("proxy", "helper", "redis", "upstream"):
            spent = cpu_ns(groups[name]) - before[name] if name in groups else None
            cell[name] = None if spent is None else spent / 1e3 / cell["requests"]
        cell["memory"] = resident(groups.get("proxy", []))
    finally:
        opened.close()
    cell["cpu"] = None if cell["proxy"] is None else cell["proxy"] + (cell["helper"] or 0)
    mine = sum(cell[name] or 0 for name in groups) * cell["requests"] / 1e6 + cell["client_seconds"]
    cell["foreign"] = max(0.0, after[0] - machine[0] - mine) / wall / os.cpu_count()
    cell["stolen"] = (after[1] - machine[1]) / wall / os.cpu_count()
    return cell
