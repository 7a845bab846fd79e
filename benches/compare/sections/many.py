"""Many tokens and subjects at once, and many subjects in the store."""

import os

import peers
import report
import rounds
from client import Own
from rounds import Row

from . import Section

COUNTS = (1, 100, 10_000)
MEASURED = ("tidegate-enforced", "nginx-lua", "floor")
# Fewer than every core can remember the tokens of.
ASKING = 5_000
# So often are all tokens shown before it counts: by then every core has seen nearly every one.
PASSES = 6


def token_file(world, name, subjects):
    path = os.path.join(world.folder, name)
    with open(path, "w") as file:
        file.writelines(f"{world.issuer.token(subject)}\n" for subject in subjects)
    return path


def tokens(world, settings, say):
    """1, 100, 10,000 tokens, each of somebody else with a grant."""
    people = [f"user{number}" for number in range(max(COUNTS))]
    world.redis_cli(world.redis_port, input="".join(f"SET grant:{who}:tool1 1\n" for who in people))
    files = {count: token_file(world, f"tokens-{count}", people[:count]) for count in COUNTS}
    if "tidegate-enforced" in world.peers:
        took = world.gateway.grant_all(settings, "many", files[max(COUNTS)])
        say(f"  {max(COUNTS):,} grants in {took:.0f} s")
    groups = []
    for name in (name for name in MEASURED if name in world.peers):
        peer, rows = world.peers[name], []
        for count in COUNTS:
            client = Own(settings, tokens=files[count], warm_passes=PASSES)
            rows.append(Row(f"{name}, {count}", f"{peer.title}, {count:,} subjects", peer, client, f"{name}, 1"))
        groups.append(rows)
    cells = rounds.run(world, settings, groups, say)
    note = "64 connections; the tokens take turns, each of another subject with a grant. Ratios are to one token."
    return Section("Different tokens and subjects", note, [report.table(groups, cells, "1 token")], cells)


def subjects(world, settings, say):
    """A store with 100,000 subjects who have five grants each, next to one with a single subject."""
    count = 2_000 if settings.quick else 100_000
    people = [f"many{number}" for number in range(count)]
    everybody = token_file(world, "tokens-everybody", people)
    first = token_file(world, "tokens-first", people[:1])
    step = max(1, count // ASKING)
    some = token_file(world, "tokens-some", people[::step])
    one, many = peers.gateway_of(world, "one"), peers.gateway_of(world, "hundred-thousand")
    try:
        one.grant_all(settings, "five", first)
        took = many.grant_all(settings, "five", everybody)
        say(f"  {count:,} subjects with five grants each in {took:.0f} s")
        groups = [subject_rows(settings, one, many, first, some, everybody, count)]
        cells = rounds.run(world, settings, groups, say)
    finally:
        for gateway in (one, many):
            world.processes.end(gateway.process)
            world.processes.end(gateway.redis) if gateway.redis else None
    note = (
        f"A gateway and a store with one subject, and a gateway and a store with {count:,}; everybody has five grants, "
        f"64 connections. {len(people[::step]):,} of them, all over the store, are fewer than every core remembers the "
        "tokens of. When everybody asks in turn, tokens are forgotten before they come again and verified anew."
    )
    return Section(f"{count:,} subjects with five grants each", note, [report.table(groups, cells, "1 subject")], cells)


def subject_rows(settings, one, many, first, some, everybody, count):
    def row(name, title, gateway, file, passes=PASSES):
        peer = peers.tidegate_peer(gateway, "tidegate-enforced", "Tidegate, enforced route", token="of a file")
        return Row(name, title, peer, Own(settings, tokens=file, warm_passes=passes), "one")

    return [
        row("one", "1 subject in the store", one, first),
        row("many, one", f"{count:,} in the store, 1 asks", many, first),
        row("many, some", f"{count:,} in the store, many of them ask", many, some),
        row("many, all", f"{count:,} in the store, all ask", many, everybody, 0),
    ]
