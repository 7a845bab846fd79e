"""The parts of a run, in the order of the report. Each has `run(world, settings, say)`, which gives a
`Section`."""


class Section:
    """`tables`: Markdown. `cells`: by row, for the bounds and for what disturbed the run."""

    def __init__(self, title, note, tables, cells):
        self.title, self.note, self.tables, self.cells = title, note, tables, cells

    def text(self):
        return "\n\n".join([f"## {self.title}", self.note, *self.tables])
