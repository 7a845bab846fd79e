"""Algorithms of tokens: remembered, and seen for the first time."""

import os
import subprocess
from statistics import median

import report
import rounds
from client import Own, Wrk
from identity import KEY_IDS
from rounds import Row

from . import Section

# RSA takes a millisecond to sign here.
FRESH = {"ES256": 6_000, "RS256": 2_000, "EdDSA": 6_000}


def remembered(world, settings, say):
    groups = []
    for name in (name for name in ("tidegate-enforced", "envoy") if name in world.peers):
        peer = world.peers[name]
        groups.append([
            Row(f"{name}, {algorithm}", f"{peer.title}, {algorithm}", peer,
                Wrk(settings, token=world.issuer.token("alice", algorithm)), f"{name}, ES256")
            for algorithm in KEY_IDS
        ])  # fmt: skip
    cells = rounds.run(world, settings, groups, say)
    note = "Tokens seen before. RS256 has 2,048 bits. Ratios are to ES256 of the same peer."
    return Section("Algorithms", note, [report.table(groups, cells, "ES256")], cells)


def cold(world, settings, say):
    """Tokens that nobody has seen, next to the check of their signatures alone."""
    peer = world.peers.get("tidegate-enforced")
    cells = {}
    if peer:
        for turn in range(settings.rounds):
            for algorithm in KEY_IDS:
                for name, cell in first_use(world, settings, peer, algorithm, turn, say).items():
                    cells.setdefault(f"{name}, {algorithm}", []).append(cell)
    lines = [
        "| algorithm | check alone us | cold request CPU us | remembered CPU us | (cold - remembered) / check | cold / check |",
        "|---|---|---|---|---|---|",
    ]
    for algorithm in KEY_IDS if peer else ():
        known = [cells[f"{name}, {algorithm}"] for name in ("check", "cold", "known")]
        figures = [f"{median(cell['cpu'] for cell in of):.1f}" for of in known]
        extra = report.spread(ratios(cells, algorithm, added_only=True))
        lines.append(f"| {algorithm} | {' | '.join(figures)} | {extra} | {report.spread(ratios(cells, algorithm))} |")
    note = (
        "Every token is shown once, all of one subject with a grant; CPU is that of the gateway. The check alone: aws-lc-rs "
        "with a key parsed before, one thread, nothing else. What a token costs at first use is what its request costs "
        "more than one with a remembered token."
    )
    return Section("Tokens seen for the first time", note, ["\n".join(lines)], cells)


def first_use(world, settings, peer, algorithm, turn, say):
    count = FRESH[algorithm] // (4 if settings.quick else 1)
    path = os.path.join(world.folder, "tokens-fresh")
    with open(path, "w") as file:
        file.writelines(
            f"{world.issuer.token('alice', algorithm, jti=f'{turn}-{number}')}\n" for number in range(count)
        )
    few = os.path.join(world.folder, "tokens-few")
    with open(path) as file, open(few, "w") as out:
        out.writelines(line for _, line in zip(range(200), file))
    check = subprocess.run(
        [f"{settings.compiled}/signature", world.issuer.jwks_file, few], check=True, capture_output=True, text=True
    )
    token = world.issuer.token("alice", algorithm)
    known = rounds.measure(world, settings, Row("", "", peer, Own(settings, token=token)))
    fresh = rounds.measure(world, settings, Row("", "", peer, Own(settings, tokens=path, once=1, warm_up=0)))
    alone = float(check.stdout)
    say(f"  {algorithm}: check {alone:.1f} us, cold request {fresh['cpu']:.1f} us, remembered {known['cpu']:.1f} us")
    return {"check": {"cpu": alone}, "cold": fresh, "known": known}


def ratios(cells, algorithm, added_only=False):
    """Cold requests over the check alone; or what they cost more than remembered ones."""
    parts = [cells.get(f"{name}, {algorithm}", []) for name in ("check", "cold", "known")]
    return [(cold["cpu"] - (known["cpu"] if added_only else 0)) / check["cpu"] for check, cold, known in zip(*parts)]
