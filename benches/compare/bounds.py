"""What this project promises of its speed, next to what a run saw."""

from statistics import median

from report import ratios, spread
from sections import algorithms, connections, latency

ENFORCED = "tidegate-enforced"
ADDED_MS, MEMORY_MIB = 0.5, 250


class Bound:
    """`found`: one figure a round; `bound`: a number, or one a round. At most that, or at least."""

    def __init__(self, what, found, bound, at_least=False, unit=""):
        self.what, self.found, self.at_least, self.unit = what, found, at_least, unit
        self.each = bound if isinstance(bound, list) else [bound] * len(found)

    def line(self):
        if not self.found:
            return f"| {self.what} | - | - | not measured |"
        sign, limit = (">=" if self.at_least else "<="), median(self.each)
        return f"| {self.what} | {spread(self.found)}{self.unit} | {sign} {limit:.2f}{self.unit} | {self.verdict()} |"

    def verdict(self):
        """How far the median of the rounds is from its bound."""
        if self.unit:
            away = median(found - bound for found, bound in zip(self.found, self.each))
            far = f"{abs(away):.2f}{self.unit}"
        else:
            away = median(found / bound for found, bound in zip(self.found, self.each)) - 1
            far = f"{abs(away):.0%}"
        met = away >= 0 if self.at_least else away <= 0
        return f"{'met' if met else 'NOT MET'}, by {far}"


def table(sections):
    """`sections`: what was measured, by the name of its section."""
    cells = {name: section.cells for name, section in sections.items()}
    lines = ["| in the same round | median (least - most) | bound | met |", "|---|---|---|---|"]
    parts = (same_work, at_a_rate, with_connections, with_subjects, with_cold_tokens)
    return "\n".join(lines + [bound.line() for part in parts for bound in part(cells)])


def same_work(cells):
    main = cells.get("main", {})

    def ratio(column, other):
        return ratios(main.get(ENFORCED, []), column, main.get(other, []), column)

    own = main.get(ENFORCED, [])
    return [
        Bound("CPU, enforced / nginx plain", ratios(own, "cpu", own, "nginx_cpu"), 1.0),
        Bound("requests/s, enforced / nginx + Lua", ratio("rate", "nginx-lua"), 1.6, True),
        Bound("requests/s, enforced / Envoy doing the same work", ratio("rate", "envoy"), 4.0, True),
        Bound("CPU, enforced / public route", ratio("cpu", "tidegate-public"), 1.35),
        Bound("Redis CPU, enforced / floor", ratio("redis", "floor"), 1.5),
    ]


def at_a_rate(cells):
    """0.5 ms, or half more than nginx plain adds in the same round, whichever is more."""
    found = latency.added(cells.get("latency", {}), ENFORCED, 30, "p99")
    beside = latency.added(cells.get("latency", {}), "nginx", 30, "p99") or [0.0] * len(found)
    allowed = [max(ADDED_MS, 1.5 * nginx) for nginx in beside]
    return [Bound("added p99 over direct at 30 % load", found, allowed, unit=" ms")]


def with_connections(cells):
    """1.3, or nginx plain's own ratio in the same round, whichever is more."""
    seen, count = cells.get("connections", {}), connections.most()
    of = lambda name: ratios(  # noqa: E731
        seen.get(f"{name}, {count}, 64", []), "cpu", seen.get(f"{name}, 64, 64", []), "cpu"
    )
    found = of(ENFORCED)
    allowed = [max(1.3, nginx) for nginx in of("nginx")] or 1.3
    memory = [cell["memory"] for cell in seen.get(f"{ENFORCED}, {count}, 64", [])]
    return [
        Bound(f"CPU, {count:,} connections / 64", found, allowed),
        Bound(f"memory with {count:,} connections", memory, MEMORY_MIB, unit=" MiB"),
    ]


def with_subjects(cells):
    seen = cells.get("subjects", {})
    found = ratios(seen.get("many, some", []), "cpu", seen.get("one", []), "cpu")
    return [Bound("CPU, 100,000 subjects with 5 grants each / 1 subject", found, 1.25)]


def with_cold_tokens(cells):
    seen = cells.get("cold", {})
    added, whole = algorithms.ratios(seen, "ES256", added_only=True), algorithms.ratios(seen, "ES256")
    return [
        Bound("cold token, ES256: what first use costs / signature check alone", added, 1.4),
        Bound("the same, the whole request / signature check alone", whole, 1.4),
    ]
