"""A connection for every request."""

import report
import rounds
from client import Wrk

from . import Section

MEASURED = ("nginx", "haproxy", "tidegate-public", "tidegate-enforced", "nginx-lua")


def run(world, settings, say):
    groups = [rounds.rows_of(world, MEASURED, Wrk(settings, close=True))]
    cells = rounds.run(world, settings, groups, say)
    note = "Every request says `Connection: close`; 64 clients. Connections to the upstream are kept."
    return Section("A connection for every request", note, [report.table(groups, cells)], cells)
