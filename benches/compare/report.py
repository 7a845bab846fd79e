"""The table, the ratios and the bounds, as Markdown."""

from statistics import median

COLUMNS = ["rate", "p50", "p99", "proxy", "helper", "redis", "upstream"]


def table(world, cells):
    """Medians over the rounds; ratios with their spread."""
    lines = [
        "| peer | requests/s | p50 ms | p99 ms | proxy us | helper us | Redis us | upstream us "
        "| CPU / nginx plain | requests/s / nginx plain |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, rounds in cells.items():
        figures = [middle(rounds, column) for column in COLUMNS]
        cpu = spread(ratios(rounds, "cpu", rounds, "nginx_cpu"))
        rate = spread(ratios(rounds, "rate", rounds, "nginx_rate"))
        row = [world.peers[name].title, f"{figures[0]:,.0f}", *map(number, figures[1:]), cpu, rate]
        lines.append("| " + " | ".join(row) + " |")
    for name, fault in world.failures.items():
        lines.append(f"| {name}: {fault.splitlines()[0]} |" + " |" * 9)
    return "\n".join(lines)


def bounds(cells):
    """What this project promises, next to what this run saw."""

    def ratio(above, below, column):
        if above in cells and below in cells:
            return ratios(cells[above], column, cells[below], column)
        return []

    def beside_nginx(name):
        return ratios(cells.get(name, []), "cpu", cells.get(name, []), "nginx_cpu")

    enforced = "tidegate-enforced"
    wanted = [
        ("CPU, enforced / nginx plain", beside_nginx(enforced), "<=", 1.3),
        ("CPU, enforced / public route", ratio(enforced, "tidegate-public", "cpu"), "<=", 1.5),
        ("Redis CPU, enforced / floor", ratio(enforced, "floor", "redis"), "<=", 1.5),
        ("requests/s, enforced / nginx + Lua", ratio(enforced, "nginx-lua", "rate"), ">=", 1.6),
        ("requests/s, enforced / Envoy", ratio(enforced, "envoy", "rate"), ">=", 4.0),
    ]
    lines = ["| in the same round | median (least - most) | bound | met |", "|---|---|---|---|"]
    for what, found, way, bound in wanted:
        lines.append(f"| {what} | {spread(found)} | {way} {bound} | {verdict(found, way, bound)} |")
    return "\n".join(lines)


def verdict(found, way, bound):
    if not found:
        return "not measured"
    met = median(found) <= bound if way == "<=" else median(found) >= bound
    return "yes" if met else "no"


def disturbances(cells):
    """What would make the figures worth less."""
    everything = [cell for rounds in cells.values() for cell in rounds]
    lines = []
    for name, rounds in cells.items():
        refused, broken = sum(cell["refused"] for cell in rounds), [c["broken"] for c in rounds if c["broken"]]
        if refused or broken:
            lines.append(f"{name}: {refused} answers were refusals; socket errors: {', '.join(broken) or 'none'}")
    foreign = median(cell["foreign"] for cell in everything) * 100
    stolen = median(cell["stolen"] for cell in everything) * 100
    lines.append(f"others used {foreign:.0f} % of the machine, the hypervisor took {stolen:.0f} % (medians)")
    return lines


def write(path, world, settings, cells, description):
    """The results file."""
    head = [
        f"# Comparison of {settings.date}",
        "",
        f"`scripts/bench-compare`: {settings.rounds} interleaved rounds of {settings.seconds} s, "
        f"{settings.connections} connections, ES256 tokens that were seen before. "
        "How it is measured: docs/benchmarks.md.",
        "",
        f"- machine: {description}",
        *(f"- {name}: {version}" for name, version in world.versions().items()),
        *(f"- {line}" for line in disturbances(cells)),
        "",
    ]
    with open(path, "w") as file:
        file.write("\n".join([*head, table(world, cells), "", bounds(cells), ""]))


def ratios(above, column, below, other):
    pairs = zip((cell.get(column) for cell in above), (cell.get(other) for cell in below))
    return [a / b for a, b in pairs if a is not None and b]


def spread(found):
    return f"{median(found):.2f} ({min(found):.2f} - {max(found):.2f})" if found else "-"


def middle(rounds, column):
    known = [cell[column] for cell in rounds if cell[column] is not None]
    return median(known) if known else None


def number(value):
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"
