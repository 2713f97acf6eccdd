"""What a job was asked to do, what happened to it, and the commands that act on it."""

import time
from collections.abc import Sequence
from pathlib import Path

from appliance.jobs.job import read_config
from appliance.jobs.ledger import open_readonly
from tui.cells import DOUBTFUL, FAINT, Cell, Line, state_cell
from tui.pace import speed_text
from tui.screens.reading import ReadingScreen, commands, fact, heading

_EVENTS = 100


class JobInfoScreen(ReadingScreen):
    """Configuration, events, commands."""

    TAB = "Jobs"
    HELP_LINES = ("What this job was asked to do, its latest events, and the commands that act on it.",)

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def read(self) -> Sequence[Line]:
        """Reads configuration and events."""
        config = read_config(self._directory)
        with open_readonly(self._directory) as reader:
            job, events = reader.summary(), reader.events(_EVENTS)
        unsafe = Cell("   no gate found it READY", DOUBTFUL) if config.unsafe else Cell("")
        lines = [
            fact("job", job.id),
            fact("state", state_cell(job.state), Cell(f" {job.message}" if job.message else "")),
            fact("model", config.model_name, unsafe),
            fact("identity", config.model),
            fact("task", f"{job.task}, hash {config.task_hash}"),
            fact("documents", config.documents_dir, f" (the first {config.limit:,})" if config.limit else ""),
            fact("rows", f"{config.out_dir}, as {config.output_format}"),
            fact("texts", "kept in the job" if config.keep_text == "all" else "not kept"),
            fact("speed", f"{speed_text(job.documents_per_second)} documents/s in the latest run"),
            fact("folder", str(self._directory)),
        ]
        lines += commands(
            (f"stillroom jobs show {job.id}", "this page"),
            (f"stillroom jobs resume {job.id}", "goes on, and does new documents"),
            (f"stillroom jobs export {job.id} --out DIR", "writes the rows so far"),
            (f"stillroom jobs remove {job.id}", "deletes it with what it kept"),
        )
        lines += heading(f"Events, the latest {_EVENTS}")
        for moment, kind, detail in events:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
            lines.append([Cell(f"{stamp}  ", FAINT), Cell(f"{kind:8}  {detail}")])
        return lines
