"""A job's configuration, its latest events, and the commands that act on it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.documents.left_out import left_out_text
from appliance.ground.text import human_count
from appliance.jobs.job import FallbackConfig, read_config
from appliance.jobs.review import corrected_count
from tui.data.job_speed import speed_text
from tui.data.problems import READING_ERRORS, problem_of
from tui.data.state_readers import open_job
from tui.frames.text_page import TextPage
from tui.rendering.facts import commands, fact, heading
from tui.text.cells import BAD, DOUBTFUL, FAINT, STRONG, Cell, Line, state_cell

_EVENTS = 100


class JobInfoScreen(TextPage):
    """Configuration, events, commands."""

    TAB = "Jobs"
    HELP_LINES = ("The configuration of this job, its latest events, and the commands that act on it.",)

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def read(self) -> Sequence[Line]:
        """Reads configuration and events; where one of them cannot be read, the other is still shown."""
        name, corrected = self._directory.name, corrected_count(self._directory)
        by_people = f"people corrected {human_count(corrected, 'document')}; the rows are as the model answered"
        return [
            fact("job", Cell(name, STRONG)),
            *_or_problem(lambda: _configured(self._directory)),
            *([fact("corrections", Cell(by_people, DOUBTFUL))] if corrected else []),
            fact("folder", str(self._directory)),
            *commands(
                ("show", f"stillroom jobs show {name}"),
                ("resume", f"stillroom jobs resume {name}"),
                ("export", f"stillroom jobs export {name} --out DIR"),
                *([("corrected", f"stillroom jobs export {name} --corrected --out DIR")] if corrected else []),
                ("remove", f"stillroom jobs remove {name}"),
            ),
            *heading(f"State and events, the latest {_EVENTS}"),
            *_or_problem(lambda: _happened(self._directory)),
        ]


def _or_problem(read: Callable[[], list[Line]]) -> list[Line]:
    try:
        return read()
    except READING_ERRORS as error:
        problem = problem_of(error)
        return [fact("problem", Cell(problem.message, BAD)), fact("hint", problem.hint)]


def _configured(directory: Path) -> list[Line]:
    config = read_config(directory)
    unsafe = Cell("   not approved: no gate found it READY", DOUBTFUL) if config.unsafe else Cell("")
    return [
        fact("model", config.model_name, unsafe),
        fact("identity", config.model),
        fact("task hash", config.task_hash),
        fact("documents", config.documents_dir, f" (the first {config.limit:,})" if config.limit else ""),
        fact("rows", f"{config.out_dir}, as {config.output_format}" if config.out_dir else "in the job"),
        fact("texts", "kept in the job" if config.keep_text == "all" else "not kept"),
        *([fact("shard", f"{config.shard} of the folder")] if config.shard else []),
        *(_fallback(config.fallback) if config.fallback else []),
    ]


def _fallback(fallback: FallbackConfig) -> list[Line]:
    """Which documents leave this machine, and the bounds of one run."""
    caps = [
        *([human_count(fallback.cap_documents, "document")] if fallback.cap_documents else []),
        *([human_count(fallback.cap_tokens, "token")] if fallback.cap_tokens else []),
        *([f"a cost of {fallback.cap_money:g}"] if fallback.cap_money else []),
    ]
    below = f"gets the text, masked, of documents with a field below confidence {fallback.threshold:g}"
    return [
        fact("fallback", Cell(f"frontier {fallback.name}", STRONG), Cell(f"   {below}", DOUBTFUL)),
        fact("caps", f"{', '.join(caps)} in one run" if caps else "only those of the policy"),
    ]


def _happened(directory: Path) -> list[Line]:
    with open_job(directory) as reader:
        job, events = reader.summary(), reader.events(_EVENTS)
    lines: list[Line] = [
        fact("state", state_cell(job.state), f"   {job.message}" if job.message else ""),
        *([fact("left out", left_out)] if (left_out := left_out_text(job.left_out)) else []),
        fact("speed", f"{speed_text(job.documents_per_second)} documents/s in the latest run"),
    ]
    for moment, kind, detail in events:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
        lines.append([Cell(f"{stamp}  ", FAINT), Cell(f"{kind:8}  {detail}")])
    return lines
