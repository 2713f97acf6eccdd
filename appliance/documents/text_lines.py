"""Lines of text as a reader collects them, with an end to how much one document may give.

Formats repeat by reference: one shared string in a million cells, one chapter listed ten thousand times. What is
counted is therefore what comes out, at the moment it comes out.
"""

from appliance.documents.problems import DocumentError, Problem

MAX_TEXT_CHARACTERS = 16 << 20


class Lines:
    """A list of lines that refuses to grow beyond what a document may have."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._characters = 0

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, line: str) -> None:
        """Appends a line, or several that are joined by newlines.

        Raises:
            DocumentError: The document has more text than is kept.
        """
        self._characters += len(line) + 1
        if self._characters > MAX_TEXT_CHARACTERS:
            raise DocumentError(
                Problem.TOO_LARGE, f"the document has more than {MAX_TEXT_CHARACTERS:,} characters of text"
            )
        self._lines.append(line)

    def add_all(self, lines: "Lines") -> None:
        """Appends what another collector holds."""
        for line in lines._lines:
            self.add(line)

    def text(self) -> str:
        """All lines, each with its newline; nothing where there are none."""
        return "\n".join(self._lines) + "\n" if self._lines else ""


def table_line(cells: list[str]) -> str:
    """One row of a table as one line: tabs between cells, none inside, empty cells kept up to the last full one.

    What a cell holds on several lines is joined by blanks, so that a row stays one line.
    """
    return "\t".join(" ".join(cell.split()) for cell in cells).rstrip("\t")
