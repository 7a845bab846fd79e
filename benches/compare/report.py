"""Tables and the results file, as Markdown."""

from statistics import median

COLUMNS = ["rate", "p50", "p99", "proxy", "helper", "redis", "upstream"]
HEAD = "| peer | requests/s | p50 ms | p99 ms | proxy us | helper us | Redis us | upstream us "


def main_table(world, cells):
    """Medians over the rounds; ratios with their spread, to the second of nginx plain right before."""
    lines = [HEAD + "| CPU / nginx plain | requests/s / nginx plain |", "|---" * 10 + "|"]
    for name, rounds in cells.items():
        cpu = spread(ratios(rounds, "cpu", rounds, "nginx_cpu"))
        rate = spread(ratios(rounds, "rate", rounds, "nginx_rate"))
        lines.append(row_of(world.peers[name].title, rounds, [cpu, rate]))
    for name, fault in world.failures.items():
        lines.append(f"| {name}: {fault.splitlines()[0]} |" + " |" * 9)
    return "\n".join(lines)


def table(groups, cells, base="nginx plain", memory=False):
    """Medians over the rounds; ratios with their spread, to the row that each is compared with in the
    same round."""
    head = HEAD + f"| CPU / {base} | requests/s / {base} |"
    lines = [head + (" memory MiB |" if memory else ""), "|---" * (11 if memory else 10) + "|"]
    for row in (row for group in groups for row in group if row.name in cells):
        rounds, other = cells[row.name], cells.get(row.base, [])
        more = [spread(ratios(rounds, column, other, column)) for column in ("cpu", "rate")]
        if memory:
            more.append(f"{max(cell['memory'] for cell in rounds):.0f}")
        lines.append(row_of(row.title, rounds, more))
    return "\n".join(lines)


def row_of(title, rounds, more):
    figures = [middle(rounds, column) for column in COLUMNS]
    return "| " + " | ".join([title, f"{figures[0]:,.0f}", *map(number, figures[1:]), *more]) + " |"


def disturbances(sections):
    """What would make the figures worth less."""
    lines, everything = [], []
    for section in sections:
        for name, rounds in section.cells.items():
            rounds = [cell for cell in rounds if "foreign" in cell]
            everything += rounds
            refused, broken = sum(cell["refused"] for cell in rounds), [c["broken"] for c in rounds if c["broken"]]
            if refused or broken:
                faults = ", ".join(broken) or "none"
                lines.append(f"{section.title}, {name}: {refused} answers were not as expected; faults: {faults}")
    if not everything:
        return ["nothing was measured"]
    foreign = median(cell["foreign"] for cell in everything) * 100
    stolen = median(cell["stolen"] for cell in everything) * 100
    lines.append(f"others used {foreign:.0f} % of the machine, the hypervisor took {stolen:.0f} % (medians)")
    return lines


def write(path, world, settings, sections, bounds, description):
    """The results file."""
    head = [
        f"# Comparison of {settings.date}",
        "",
        "`scripts/bench-compare`. How it is measured: docs/benchmarks.md. Medians, in brackets least and most of "
        "the rounds; CPU is in microseconds per request.",
        "",
        f"- machine: {description}",
        *(f"- {name}: {version}" for name, version in world.versions().items()),
        *(f"- {name} was left out: {fault.splitlines()[0]}" for name, fault in world.failures.items()),
        *(f"- {line}" for line in disturbances(sections)),
        "",
        "## Bounds",
        "",
        bounds,
        "",
    ]
    with open(path, "w") as file:
        file.write("\n".join([*head, "\n\n".join(section.text() for section in sections), ""]))


def ratios(above, column, below, other):
    pairs = zip((cell.get(column) for cell in above), (cell.get(other) for cell in below))
    return [a / b for a, b in pairs if a is not None and b]


def spread(found):
    return f"{median(found):.2f} ({min(found):.2f} - {max(found):.2f})" if found else "-"


def middle(rounds, column):
    known = [cell[column] for cell in rounds if cell.get(column) is not None]
    return median(known) if known else None


def number(value):
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"
