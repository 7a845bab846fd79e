"""Bodies in both directions, and requests that are refused."""

import report
import rounds
from client import Wrk
from rounds import Row

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
    groups = []
    for kind, client in kinds.items():
        peers = [world.peers[name] for name in CARRYING if name in world.peers]
        groups.append([Row(f"{peer.name}, {kind}", f"{peer.title}, {kind}", peer, client, f"nginx, {kind}") for peer in peers])
    cells = rounds.run(world, settings, groups, say)
    note = (
        "1 KiB over 64 connections, 1 MiB over 16; the upstream sends a file, or reads all that it is sent before it answers. "
        "Nobody writes bodies to files. nginx plain is that of the same row."
    )
    return Section("Bodies", note, [report.table(groups, cells)], cells)


def refusals(world, settings, say):
    groups = []
    for title, token in (("403, no grant", world.issuer.token("mallory")), ("401, tampered", tampered(world))):
        peers = [world.peers[name] for name in REFUSING if name in world.peers]
        client = Wrk(settings, token=token)
        base = f"nginx-lua, {title}"
        groups.append([Row(f"{peer.name}, {title}", f"{peer.title}, {title}", peer, client, base, True) for peer in peers])
    cells = rounds.run(world, settings, groups, say)
    note = "Nothing reaches the upstream; every answer has to be a refusal. Ratios are to nginx + Lua."
    return Section("Refusals", note, [report.table(groups, cells, "nginx + Lua")], cells)


def tampered(world):
    return world.issuer.bad_tokens("alice")["tampered signature"]
