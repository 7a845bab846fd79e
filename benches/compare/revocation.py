"""From the acknowledgement of a revocation to the first refusal by another gateway of the same store.

Without load: each of the N turns first times an ordinary refusal (a subject that never had a grant),
then revokes a live grant through one gateway and asks the other until it refuses.
"""

import time

import http1
from http1 import bearer
from tidegate import Gateway

BOUND = 2.0


def run(world, settings, say):
    """Prints the figures; `False` when a request was allowed after the acknowledgement, or too slow."""
    redis, store = world.tidegate_store("revocation-redis")
    make = lambda name: Gateway(  # noqa: E731
        world.processes, settings.binary, world.folder, store, world.issuer, world.upstream_port, name
    )
    here = make("revoking")
    there = make("refusing") if redis else here
    ordinary, revoked, allowed, seen = [], [], 0, 0
    asking, api = http1.Connection(there.proxy), http1.Connection(here.api)
    stranger = http1.request("GET", "/tool1/x", bearer(world.issuer.token("mallory")))
    for turn in range(settings.turns):
        subject = f"user{turn}"
        grant = here.grant(subject)
        visit = http1.request("GET", "/tool1/x", bearer(world.issuer.token(subject)))
        seen += expect(asking, visit, 200)
        started = time.perf_counter()
        expect(asking, stranger, 403)
        ordinary.append(time.perf_counter() - started)
        revoke(api, world, grant)
        started = time.perf_counter()
        while asking.exchange(visit)[0] != 403:
            allowed += 1
        revoked.append(time.perf_counter() - started)
    ratio = p99(revoked) / p99(ordinary)
    gateways = "another gateway" if redis else "the same gateway (embedded store)"
    say(f"revocation, {settings.turns} turns, no load, asking {gateways}; {seen} grants were live before")
    say(f"  ordinary refusal: p50 {p50(ordinary):.2f} ms, p99 {p99(ordinary):.2f} ms")
    say(f"  acknowledgement to first refusal: p50 {p50(revoked):.2f} ms, p99 {p99(revoked):.2f} ms")
    say(f"  p99 / p99: {ratio:.2f} (bound {BOUND}); allowed after the acknowledgement: {allowed} (bound 0)")
    return allowed == 0 and ratio <= BOUND


def expect(connection, request, status):
    got, body = connection.exchange(request)
    if got != status:
        raise RuntimeError(f"{got} instead of {status}: {body[:300]}")
    return 1


def revoke(api, world, grant):
    headers = bearer(world.issuer.lead(), **{"Content-Type": "application/json"})
    body = b'{"reason":"measured"}'
    expect(api, http1.request("POST", f"/api/v1/grants/{grant}/revoke", headers, body), 200)


def p50(seconds):
    return sorted(seconds)[len(seconds) // 2] * 1e3


def p99(seconds):
    return sorted(seconds)[len(seconds) * 99 // 100] * 1e3
