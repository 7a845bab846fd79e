"""A connection for every request."""

import report
import rounds
from client import Wrk
from rounds import Row

from . import Section

MEASURED = ("nginx", "haproxy", "tidegate-public", "tidegate-enforced", "nginx-lua")


def run(world, settings, say):
    client = Wrk(settings, close=True)
    peers = [world.peers[name] for name in MEASURED if name in world.peers]
    groups = [[Row(peer.name, peer.title, peer, client, "nginx") for peer in peers]]
    cells = rounds.run(world, settings, groups, say)
    note = "Every request says `Connection: close`; 64 clients. Connections to the upstream are kept."
    return Section("A connection for every request", note, [report.table(groups, cells)], cells)
