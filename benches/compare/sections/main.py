"""All peers under `wrk`, each next to a second of nginx plain."""

import report
import rounds
from client import Wrk
from rounds import Row

from . import Section

# Measured one after the other: what is compared most should see the same minute.
TOGETHER = [
    ["tidegate-public", "tidegate-enforced", "floor"],
    ["nginx-lua"], ["envoy"], ["nginx-auth"], ["nginx"], ["haproxy"], ["pingora"], ["envoy-plain"],
]  # fmt: skip


def run(world, settings, say):
    rows = {name: Row(name, peer.title, peer, Wrk(settings)) for name, peer in world.peers.items()}
    groups = [[rows[name] for name in group if name in rows] for group in TOGETHER]
    found = rounds.run(world, settings, groups, say, rows.get("nginx"))
    cells = {name: found[name] for name in rows}
    note = f"{settings.rounds} rounds of {settings.seconds} s, {settings.connections} connections, ES256 tokens seen before."
    return Section("The same work", note, [report.main_table(world, cells)], cells)
