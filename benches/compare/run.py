"""`scripts/bench-compare`, once everything that it needs is there."""

import argparse
import datetime
import os
import resource
import sys
import tempfile

import correctness
import report
import revocation
import rounds
from machine import DidNotStart, Processes, description
from tidegate import ROOT
from world import PEERS, World


def settings():
    environment = os.environ.get
    parser = argparse.ArgumentParser(prog="scripts/bench-compare", description="Tidegate next to its peers.")
    add = parser.add_argument
    add("--quick", action="store_true", help="two short rounds, no results file")
    add("--check", action="store_true", help="only whether every peer does the work")
    add("--revocation", action="store_true", help="only how fast a revocation reaches another gateway")
    add("--rounds", type=int, default=environment("N"), help="N; default 5")
    add("--seconds", type=int, default=environment("D"), help="D, of one cell; default 5")
    add("--connections", type=int, default=environment("C", 64), help="C; default 64")
    add("--turns", type=int, default=environment("TURNS", 200), help="of --revocation; default 200")
    add("--peers", default=environment("PEERS", ",".join(PEERS)), help="comma-separated, of: " + " ".join(PEERS))
    add("--store", default=environment("TIDEGATE_STORE", "redis"), choices=["redis", "embedded"])
    add("--output", help="the results file; default benches/results/DATE-compare.md")
    chosen = parser.parse_args()
    chosen.rounds = int(chosen.rounds or (2 if chosen.quick else 5))
    chosen.seconds = int(chosen.seconds or (1 if chosen.quick else 5))
    chosen.warm_up, chosen.reference = 1, 1
    chosen.date = datetime.date.today().isoformat()
    if not chosen.output and not chosen.quick:
        chosen.output = os.path.join(ROOT, "benches", "results", f"{chosen.date}-compare.md")
    chosen.peers = [name for name in chosen.peers.split(",") if name]
    unknown = set(chosen.peers) - set(PEERS)
    if unknown:
        parser.error(f"unknown peers: {' '.join(sorted(unknown))}")
    # What the script in front found or built.
    chosen.tools, chosen.servers = environment("BENCH_TOOLS"), environment("BENCH_SERVERS")
    chosen.compiled, chosen.binary = environment("BENCH_COMPILED"), os.path.abspath(environment("TIDEGATE_BIN"))
    return chosen


def say(text=""):
    print(text, flush=True)


def compare(world, chosen):
    world.start(chosen.peers)
    say("== does the work")
    for name in [name for name in PEERS if name in world.peers]:
        found = correctness.faults(world.peers[name], world.issuer)
        say(f"  {name:18} " + ("; ".join(found) or "yes"))
        if found:
            world.failures[name] = "; ".join(found)
            del world.peers[name]
    for name, fault in world.failures.items():
        say(f"  {name:18} LEFT OUT: {fault}")
    if chosen.check or not world.peers:
        return not world.failures
    say(f"\n== {chosen.rounds} rounds of {chosen.seconds} s, {chosen.connections} connections")
    cells = rounds.run(world, chosen, say)
    say("\n" + report.table(world, cells))
    say("\n" + report.bounds(cells) + "\n")
    for line in report.disturbances(cells):
        say(line)
    if chosen.output:
        report.write(chosen.output, world, chosen, cells, description())
        say(f"written: {os.path.relpath(chosen.output)}")
    return not world.failures


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
