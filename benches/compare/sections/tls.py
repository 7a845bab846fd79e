"""TLS and HTTP/2, by `h2load`."""

import report
import rounds
from client import H2load

from . import Section

MEASURED = ("nginx", "haproxy", "tidegate-public", "tidegate-enforced")


def run(world, settings, say):
    kinds = {
        "TLS, HTTP/1.1": H2load(settings, connections=64),
        "TLS, HTTP/2, 64 x 1": H2load(settings, connections=64, streams=1),
        "TLS, HTTP/2, 8 x 8": H2load(settings, connections=8, streams=8),
    }
    groups = [rounds.rows_of(world, MEASURED, client, kind) for kind, client in kinds.items()]
    cells = rounds.run(world, settings, groups, say)
    note = (
        "A closed loop over TLS 1.3 to the proxy, connections kept; HTTP/1.1 to the upstream as ever. `connections x "
        "streams` at once. nginx plain is that of the same row."
    )
    return Section("TLS and HTTP/2", note, [report.table(groups, cells)], cells)
