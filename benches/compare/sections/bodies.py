"""Bodies in both directions, and requests that are refused."""

import report
import rounds
from client import Wrk

from . import Section

CARRYING = ("nginx", "haproxy", "tidegate-enforced")
REFUSING = ("tidegate-enforced", "nginx-lua", "envoy", "nginx-auth", "floor")


def bodies(world, settings, say):
    kinds = {
        "1 KiB down": Wrk(settings, path="/tool1/1kib"),
        "1 KiB up": Wrk(settings, path="/tool1/upload", body=2**10),
        "1 MiB down": Wrk(settings, path="/tool1/1mib", connections=16),
        "1 MiB up": Wrk(settings, path="/tool1/upload", body=2**20, connections=16),
    }
    groups = [rounds.rows_of(world, CARRYING, client, kind) for kind, client in kinds.items()]
    cells = rounds.run(world, settings, groups, say)
    note = (
        "1 KiB over 64 connections, 1 MiB over 16; the upstream sends a file, or reads all that it is sent before it "
        "answers. Nobody writes bodies to files. nginx plain is that of the same row."
    )
    return Section("Bodies", note, [report.table(groups, cells)], cells)


def refusals(world, settings, say):
    tokens = {"403, no grant": world.issuer.token("mallory"), "401, tampered": tampered(world)}
    groups = [
        rounds.rows_of(world, REFUSING, Wrk(settings, token=token), kind, "nginx-lua", refuses=True)
        for kind, token in tokens.items()
    ]
    cells = rounds.run(world, settings, groups, say)
    note = "Nothing reaches the upstream; every answer has to be a refusal. Ratios are to nginx + Lua."
    return Section("Refusals", note, [report.table(groups, cells, "nginx + Lua")], cells)


def tampered(world):
    return world.issuer.bad_tokens("alice")["tampered signature"]
