"""`scripts/bench-compare`, once everything that it needs is there."""

import argparse
import datetime
import os
import resource
import sys
import tempfile
import time

import bounds
import correctness
import report
import revocation
from machine import DidNotStart, Processes, description
from peers import STARTERS
from sections import algorithms, bodies, connect, connections, latency, main as same_work, many, tls
from tidegate import ROOT
from world import World

# With a bound of their own: as many rounds as the comparison itself.
BOUND = ("main", "latency", "connections", "subjects", "cold")
# In the order of the report.
SECTIONS = {
    "main": same_work.run, "latency": latency.run, "connections": connections.run, "tokens": many.tokens,
    "subjects": many.subjects, "cold": algorithms.cold, "algorithms": algorithms.remembered, "tls": tls.run,
    "connect": connect.run, "bodies": bodies.bodies, "refusals": bodies.refusals,
}  # fmt: skip
# What a build learns from: the ways that most requests take, and the answers that are no.
TRAINED = "tidegate-public,tidegate-enforced"
TRAINING = "main,tokens,algorithms,tls,connect,bodies,refusals"


def settings():
    environment = os.environ.get
    parser = argparse.ArgumentParser(prog="scripts/bench-compare", description="Tidegate next to its peers.")
    add = parser.add_argument
    add("--quick", action="store_true", help="few short rounds, no results file")
    add("--train", action="store_true", help="load of every kind on Tidegate alone, to build it by; no results file")
    add("--check", action="store_true", help="only whether every peer does the work")
    add("--revocation", action="store_true", help="only how fast a revocation reaches another gateway")
    add("--only", default=",".join(SECTIONS), help="comma-separated, of: " + " ".join(SECTIONS))
    add("--rounds", type=int, default=environment("N"), help="N, of main; default 5")
    add("--seconds", type=int, default=environment("D"), help="D, of one cell of main; default 5")
    add("--more-rounds", type=int, help="of sections without a bound; default 3")
    add("--more-seconds", type=int, help="of one cell of all sections but main; default 2")
    add("--connections", type=int, default=environment("C", 64), help="C; default 64")
    add("--turns", type=int, default=environment("TURNS", 200), help="of --revocation; default 200")
    add("--peers", default=environment("PEERS", ",".join(STARTERS)), help="comma-separated, of: " + " ".join(STARTERS))
    add("--store", default=environment("TIDEGATE_STORE", "redis"), choices=["redis", "embedded"])
    add("--output", help="the results file; default benches/results/DATE-compare.md")
    chosen = parser.parse_args()
    if chosen.train:
        chosen.quick, chosen.peers, chosen.only, chosen.rounds = True, TRAINED, TRAINING, 1
    chosen.rounds = int(chosen.rounds or (2 if chosen.quick else 5))
    chosen.seconds = int(chosen.seconds or (1 if chosen.quick else 5))
    chosen.more_rounds = chosen.more_rounds or (1 if chosen.quick else 3)
    chosen.more_seconds = chosen.more_seconds or (1 if chosen.quick else 2)
    chosen.warm_up = 1
    chosen.date = datetime.date.today().isoformat()
    if not chosen.output and not chosen.quick:
        chosen.output = os.path.join(ROOT, "benches", "results", f"{chosen.date}-compare.md")
    chosen.peers = [name for name in chosen.peers.split(",") if name]
    chosen.only = [name for name in chosen.only.split(",") if name]
    unknown = (set(chosen.peers) - set(STARTERS)) | (set(chosen.only) - set(SECTIONS))
    if unknown:
        parser.error(f"unknown: {' '.join(sorted(unknown))}")
    # What the script in front found or built.
    chosen.tools, chosen.servers = environment("BENCH_TOOLS"), environment("BENCH_SERVERS")
    chosen.compiled, chosen.compiled_pingora = environment("BENCH_COMPILED"), environment("BENCH_PINGORA")
    chosen.binary = os.path.abspath(environment("TIDEGATE_BIN"))
    return chosen


def say(text=""):
    print(text, flush=True)


def compare(world, chosen):
    world.start(chosen.peers)
    say("== does the work")
    for name in list(world.peers):
        found = correctness.faults(world.peers[name], world.issuer)
        say(f"  {name:18} " + ("; ".join(found) or "yes"))
        if found:
            world.failures[name] = "; ".join(found)
            del world.peers[name]
    for name, fault in world.failures.items():
        say(f"  {name:18} LEFT OUT: {fault}")
    if chosen.check or not world.peers:
        return not world.failures
    sections = measured(world, chosen)
    promised = bounds.table(sections)
    say("\n" + promised + "\n")
    for line in report.disturbances(sections.values()):
        say(line)
    if chosen.output:
        report.write(chosen.output, world, chosen, sections.values(), promised, description())
        say(f"written: {os.path.relpath(chosen.output)}")
    return not world.failures


def measured(world, chosen):
    """Every section that is wanted, by name."""
    sections, start = {}, time.monotonic()
    for name in (name for name in SECTIONS if name in chosen.only):
        settings = settings_of(name, chosen)
        say(f"\n== {name}: {settings.rounds} rounds of {settings.seconds} s")
        try:
            sections[name] = SECTIONS[name](world, settings, say)
        except (DidNotStart, RuntimeError, OSError) as fault:
            # The others are still worth having.
            world.failures[f"section {name}"] = str(fault)
            say(f"  BROKE OFF: {fault}")
            continue
        say(f"\n{sections[name].text()}\n\n({time.monotonic() - start:.0f} s so far)")
    return sections


def settings_of(section, chosen):
    settings = argparse.Namespace(**vars(chosen))
    if section != "main":
        settings.seconds = chosen.more_seconds
    if section not in BOUND or (chosen.quick and section != "main"):
        settings.rounds = chosen.more_rounds
    return settings


def main():
    chosen = settings()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 40_000)), hard))
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        os.chmod(folder, 0o755)  # nginx gives its workers another user
        processes = Processes(folder)
        try:
            world = World(processes, chosen)
            good = revocation.run(world, chosen, say) if chosen.revocation else compare(world, chosen)
        except (DidNotStart, RuntimeError, OSError) as fault:
            say(str(fault))
            good = False
        finally:
            processes.stop()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
