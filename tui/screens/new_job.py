"""A form for a job: which task, which folder, which model; then what the model answers for three documents."""

from collections.abc import Sequence

from appliance.ground.text import human_size
from appliance.jobs.batch import BatchRequest
from appliance.jobs.job import DEFAULT_WORKERS
from appliance.models.store import InstalledModel
from appliance.tasks.task import load_task
from tui.data.problems import READING_ERRORS, problem_of
from tui.frames.form import Entry
from tui.rendering.facts import fact
from tui.rendering.model_lines import verdict_cell
from tui.screens.task_rows import TaskForm
from tui.text.cells import DOUBTFUL, Cell, Line
from tui.text.shell_commands import shell_words, typed_path
from tui.widgets.choice import Option

MOST_WORKERS = 64
_ACTIVE = Option("", "the one that is active for the task")


class NewJobScreen(TaskForm):
    """What a job is to do."""

    TAB = "Jobs"
    GO_ON = "Next; on the last row: try 3 documents"
    KEYS = (("Enter", "Next", "the next row; on the last one: a dry run of three documents, before anything starts"),)
    HELP_LINES = (
        "A new job: a folder of documents, one task, one model. Left and right choose, the right arrow takes an offered"
        " folder name. Every installed model brings its task; `another task file` takes a task.toml of yours.",
        "Rows are written to the output folder when the job ends. Workers read documents side by side; one engine"
        " answers, however many there are.",
        "Nothing starts here: a dry run of three documents is shown first.",
    )

    def __init__(self, model_name: str = "") -> None:
        super().__init__(model_name)
        self._own_out = False
        """Whether a person typed the output folder."""

    def further_entries(self) -> Sequence[Entry]:
        """The rows below task and folder."""
        return (
            Entry("model", "Model", options=(_ACTIVE,)),
            Entry("out", "Output", is_path=True, hint="the folder for the rows"),
            Entry("workers", "Workers", str(DEFAULT_WORKERS), hint=f"1 to {MOST_WORKERS}"),
        )

    def offer_models(self, fitting: Sequence[InstalledModel], wanted: str = "") -> None:
        """Offers the models that answer the task."""
        options = [Option(m.name, f"{m.name}   {'active' if m.active else 'not active'}") for m in fitting]
        self.offer("model", options if self.value("task") else [_ACTIVE, *options], wanted)

    def changed(self, name: str) -> None:
        """Offers an output folder beside the documents until a person types another one."""
        super().changed(name)
        if name == "folder" and not self._own_out:
            folder = self.value("folder").rstrip("/")
            self.fill("out", f"{folder}-rows" if folder else "")
        elif name == "out":
            self._own_out = bool(self.value("out"))

    def missing(self) -> str:
        """What is still missing."""
        if missing := super().missing():
            return missing
        if not self.value("out"):
            return "name a folder for the rows"
        workers = self.value("workers")
        good = workers.isascii() and workers.isdecimal() and 1 <= int(workers) <= MOST_WORKERS
        return "" if good else f"workers is a number from 1 to {MOST_WORKERS}"

    def further_facts(self) -> list[Line]:
        """The model with its verdict, and who has the engine."""
        lines: list[Line] = []
        if model := self.model("model"):
            manifest = model.manifest
            form = f"{manifest.family}, {manifest.format} {manifest.quantization}".rstrip()
            lines.append(
                fact("model", verdict_cell(manifest), Cell(f"   {form}, {human_size(manifest.size_bytes)}"))
            )  # fmt: skip
            if not manifest.ready:
                lines.append(fact("", Cell("every row will say `unsafe`: no gate found the model READY", DOUBTFUL)))
        if self.stillroom.snapshot.active_jobs:
            lines.append(fact("engine", "another job has it; this one will wait and show as `queued`"))
        return lines

    def command(self) -> str:
        """`stillroom run` with the same words."""
        model = self.model("model")
        task = self.task_words(model)
        words = ["stillroom", "run", task, self.path_word("folder", "DOCUMENTS")]
        words += ["--out", self.path_word("out", "DIR")]
        words += ["--model", model.name] if model else []
        words += ["--workers", self.value("workers")] if self.value("workers") != str(DEFAULT_WORKERS) else []
        return shell_words([*words, "--detach"])

    def go_on(self) -> None:
        """Tries three documents."""
        from tui.screens.job_preview import JobPreviewScreen

        model = self.model("model")
        request = BatchRequest(
            self.task_path(model), self.folder(), typed_path(self.value("out")),
            model.name if model else None, workers=int(self.value("workers")),
        )  # fmt: skip
        try:
            load_task(request.task_path)
        except READING_ERRORS as error:
            self.show_message(problem_of(error).message)
            return
        self.app.push_screen(JobPreviewScreen(request, self.command()))
