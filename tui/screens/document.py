"""One document of a job: what was answered, how surely, where it stands in the text, and the text."""

from collections.abc import Sequence
from pathlib import Path

from appliance.jobs.ledger import DocumentEntry, open_readonly
from appliance.jobs.rows import Row
from appliance.tasks.linecode import Value
from appliance.text import human_duration, human_size
from tui.cells import BAD, FAINT, STRONG, Cell, Line, state_cell
from tui.screens.reading import ReadingScreen, commands, fact, heading

_MOST_CHARACTERS = 200_000


class DocumentScreen(ReadingScreen):
    """A document with its row."""

    TAB = "Jobs"
    HELP_LINES = (
        "One document: its answer, its reason if it has none, and its text if the job keeps texts.",
        "Confidence is the probability that the model gives to the value that it wrote. `at` is the place of the"
        " value in the text, in characters; `not in the text` means that it is not there word for word.",
    )

    def __init__(self, directory: Path, entry: DocumentEntry) -> None:
        super().__init__()
        self._directory = directory
        self._entry = entry

    def read(self) -> Sequence[Line]:
        """Reads the row and the text."""
        entry = self._entry
        with open_readonly(self._directory) as reader:
            row, text = reader.row(entry.id), reader.text(entry.id)
        lines = [fact("document", Cell(entry.name, STRONG))]
        lines.append(fact("state", state_cell(entry.state), f"   {human_size(entry.size_bytes)}"))
        if row is not None:
            lines += _row_lines(row)
        lines += commands(("all rows", f"stillroom jobs export {self._directory.name} --out DIR"))
        lines += heading("Text")
        if text is None:
            return [*lines, [Cell("The job holds no text of this document.", FAINT)]]
        lines += [[Cell(line)] for line in text[:_MOST_CHARACTERS].splitlines()]
        if len(text) > _MOST_CHARACTERS:
            lines.append([Cell(f"... {len(text) - _MOST_CHARACTERS:,} characters more", FAINT)])
        return lines


def _row_lines(row: Row) -> list[Line]:
    lines = []
    if row.error:
        lines.append(fact("reason", Cell(f"{row.error}: {row.error_message}" if row.error_message else row.error, BAD)))
    lines.append(fact("route", row.route.value, "   no gate found the model READY" if row.unsafe else ""))
    tokens = f"{row.prompt_tokens:,} in, {row.completion_tokens:,} out"
    lines.append(fact("tokens", tokens, f"   {human_duration(row.seconds)} in the engine"))
    lines.append(fact("sha256", row.sha256 or "-"))
    if row.fields is not None:
        lines += heading("Answer")
        width = max([len("Field"), *(min(24, len(name)) for name in row.fields)])
        for name, value in row.fields.items():
            lines.append(
                [Cell(f"{name:{width}}  ", FAINT), Cell(_shown(value)), Cell(_surely(row, name, value), FAINT)]
            )
    return lines


def _shown(value: Value) -> str:
    if value is None:
        return "-"
    return "; ".join(value) if isinstance(value, list) else value


def _surely(row: Row, name: str, value: Value) -> str:
    parts = []
    if name in row.confidence:
        parts.append(f"confidence {row.confidence[name]:.2f}")
    if value is not None:
        place = row.evidence.get(name)
        parts.append("not in the text" if place is None else f"at {place:,}")
    return "   " + ", ".join(parts) if parts else ""
