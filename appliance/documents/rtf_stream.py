"""Lines of one place on the pages of a rich text, with cells that become rows."""

from dataclasses import dataclass, field

from appliance.documents.text_lines import Lines, table_line


@dataclass
class Stream:
    """Lines of one place on the page: the body, the headers, or what follows the body."""

    lines: Lines = field(default_factory=Lines)
    parts: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)

    def end_line(self) -> None:
        """Writes the open line, and cells whose row never ended."""
        text = "".join(self.parts)
        self.parts = []
        if self.cells:
            self.end_row()
        for line in text.split("\n"):
            self.lines.add(line.rstrip())

    def end_cell(self) -> None:
        """The open text becomes a cell."""
        self.cells.append("".join(self.parts))
        self.parts = []

    def end_row(self) -> None:
        """Writes the cells so far as a line."""
        self.lines.add(table_line(self.cells))
        self.cells = []
