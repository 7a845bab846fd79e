"""Whether a peer does the work at all: who is let through, and who is not."""

import http1
from http1 import bearer, once


def faults(peer, issuer):
    """What a peer answers that it should not; empty: it may be measured."""
    if not peer.enforces:
        return told("a request", 200, once(peer.port, peer.path))
    found = []
    for _ in range(3):
        found += told("token and grant", 200, once(peer.port, peer.path, bearer(peer.token)))
    found += told("no token", 401, once(peer.port, peer.path))
    for what, token in issuer.bad_tokens("alice").items():
        found += told(what, 401, once(peer.port, peer.path, bearer(token)))
    audience = once(peer.port, peer.path, bearer(issuer.token("alice", aud="other")))
    found += told("another audience", (401, 403), audience)
    stranger = issuer.token("mallory")
    found += told("no grant", 403, once(peer.port, peer.path, bearer(stranger)))
    pretending = bearer(stranger, **{"x-sub": "alice"})
    found += told("no grant, but a header that claims alice", 403, once(peer.port, peer.path, pretending))
    found += told("a grant for another tool", 403, once(peer.port, "/tool2/x", bearer(peer.token)))
    found += told("both again, on one connection", [200, 403, 200], in_turn(peer, stranger))
    return found


def in_turn(peer, stranger):
    connection = http1.Connection(peer.port)
    try:
        tokens = (peer.token, stranger, peer.token)
        requests = (http1.request("GET", peer.path, bearer(token)) for token in tokens)
        return [connection.exchange(request)[0] for request in requests]
    except OSError as fault:
        return type(fault).__name__
    finally:
        connection.close()


def told(what, expected, got):
    good = got in expected if isinstance(expected, tuple) else got == expected
    return [] if good else [f"{what}: {got} instead of {expected}"]
