"""A form for a job: which task, which folder, which model; then what the model answers for three documents."""

from collections.abc import Sequence

from appliance.ground.text import human_size
from appliance.jobs.job import DEFAULT_WORKERS
from appliance.jobs.job_plan import JobRequest
from appliance.models.approval import why_not_approved
from appliance.models.store import InstalledModel
from appliance.tasks.taskfile import load_task
from tui.data.problems import READING_ERRORS, problem_of
from tui.data.snapshot import Snapshot
from tui.frames.form import Entry, FormScreen
from tui.rendering.facts import fact
from tui.rendering.model_lines import verdict_cell
from tui.screens.task_rows import TaskRows, path_word
from tui.text.cells import DOUBTFUL, Cell, Line
from tui.text.shell_commands import shell_words, typed_path
from tui.widgets.choice import Option

MOST_WORKERS = 64
_ACTIVE = Option("", "the one that is active for the task")


class NewJobScreen(FormScreen):
    """What a job is to do."""

    TAB = "Jobs"
    SUBMIT_NAME = "Next; on the last row: preview"
    KEYS = (("Enter", "Next", "the next row; on the last one: a preview of three documents, before anything starts"),)
    HELP_LINES = (
        "A new job: a folder of documents, one task, one model. Left and right choose, the right arrow takes an offered"
        " folder name. Every installed model has its task; `another task file` takes a task.toml of yours.",
        "Rows are written to the output folder when the job ends. Workers read documents side by side; one engine"
        " answers, however many there are.",
        "Nothing starts here: a preview of three documents comes first.",
    )

    def __init__(self, model_name: str = "") -> None:
        super().__init__()
        self._task_rows = TaskRows(self, self._offer_models, self._show, model_name)
        self._out_is_typed = False
        """Whether a person typed the output folder."""

    def entries(self) -> Sequence[Entry]:
        """The rows."""
        return (
            *self._task_rows.entries(),
            Entry("model", "Model", options=(_ACTIVE,)),
            Entry("out", "Output", is_path=True, hint="the folder for the rows"),
            Entry("workers", "Workers", str(DEFAULT_WORKERS), hint=f"1 to {MOST_WORKERS}"),
        )

    def on_mount(self) -> None:
        """Begins with the folder: the task is mostly the right one already."""
        self.query_one("#folder").focus()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Offers what is installed, once it is known."""
        self._task_rows.show_models(snapshot.models.models)

    def _offer_models(self, fitting: Sequence[InstalledModel], preferred: str) -> None:
        options = [Option(m.name, f"{m.name}   {'active' if m.active else 'not active'}") for m in fitting]
        self.offer("model", options if self.value("task") else [_ACTIVE, *options], preferred)

    def value_changed(self, name: str) -> None:
        """Offers an output folder beside the documents until a person types another one."""
        self._task_rows.value_changed(name)
        if name == "folder" and not self._out_is_typed:
            folder = self.value("folder").rstrip("/")
            self.fill("out", f"{folder}-rows" if folder else "")
        elif name == "out":
            self._out_is_typed = bool(self.value("out"))

    def values_settled(self) -> None:
        """Counts the folder, and shows what is known so far."""
        self._task_rows.count_folder()
        self._show()

    def missing(self) -> str:
        """What is still missing."""
        if missing := self._task_rows.missing():
            return missing
        if not self.value("out"):
            return "name a folder for the rows"
        workers = self.value("workers")
        good = workers.isascii() and workers.isdecimal() and 1 <= int(workers) <= MOST_WORKERS
        return "" if good else f"workers is a number from 1 to {MOST_WORKERS}"

    def _show(self) -> None:
        rows = self._task_rows
        self.show_command(self._command())
        self.show_findings([*rows.facts(), *self._model_facts(), *rows.missing_lines(self.missing())])

    def _model_facts(self) -> list[Line]:
        """The model with its verdict, and who has the engine."""
        lines: list[Line] = []
        if model := self._task_rows.model("model"):
            manifest = model.manifest
            form = f"{manifest.family}, {manifest.format} {manifest.quantization}".rstrip()
            lines.append(fact("model", verdict_cell(manifest), Cell(f"   {form}, {human_size(manifest.size_bytes)}")))
            if reason := why_not_approved(manifest):
                lines.append(fact("", Cell(f"not approved: {reason}; each row will say so", DOUBTFUL)))
        if self.stillroom.snapshot.active_jobs:
            lines.append(fact("engine", "in use by another job; this one will wait as `queued`"))
        return lines

    def _command(self) -> str:
        """`stillroom run` with the same words."""
        model = self._task_rows.model("model")
        words = ["stillroom", "run", *self._task_rows.command_words(model)]
        words += ["--out", path_word(self.value("out"), "DIR")]
        words += ["--model", model.name] if model else []
        words += ["--workers", self.value("workers")] if self.value("workers") != str(DEFAULT_WORKERS) else []
        return shell_words([*words, "--detach"])

    def submit(self) -> None:
        """Opens the preview."""
        from tui.screens.job_preview import JobPreviewScreen

        model = self._task_rows.model("model")
        request = JobRequest(
            self._task_rows.task_path(model), self._task_rows.folder_path(), typed_path(self.value("out")),
            model.name if model else None, workers=int(self.value("workers")),
        )  # fmt: skip
        try:
            load_task(request.task_path)
        except READING_ERRORS as error:
            self.show_message(problem_of(error).message)
            return
        self.app.push_screen(JobPreviewScreen(request, self._command()))
