"""The rows that the forms for jobs and comparisons begin with: a task, a folder, and which models fit the task."""

from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.ground.text import human_count, human_size
from appliance.jobs.preview import UNKNOWN_TYPE, FolderCount, count_documents
from appliance.models.approval import is_approved
from appliance.models.store import InstalledModel
from appliance.tasks.folder import TASK_FILE
from tui.data.problems import READING_ERRORS, Problem, problem_of
from tui.frames.form import Entry, FormScreen
from tui.rendering.facts import fact
from tui.text.cells import BAD, DOUBTFUL, FAINT, Cell, Line
from tui.text.shell_commands import typed_path
from tui.widgets.choice import Option

_OTHER_TASK = Option("", "another task file")

OfferModels = Callable[[Sequence[InstalledModel], str], None]
"""Offers the models that answer the task, the active one first; the name is the one to begin with."""


class TaskRows:
    """Task and folder of a form; the folder is counted in a thread whenever another one was typed."""

    def __init__(
        self, form: FormScreen, offer_models: OfferModels, on_count: Callable[[], None], model_name: str = ""
    ) -> None:
        self._form, self._offer_models, self._on_count = form, offer_models, on_count
        self._preferred_model = model_name
        self._models: tuple[InstalledModel, ...] = ()
        self._counted_folder = ""
        self.count: FolderCount | None = None
        """What the folder holds; None while it is being counted, or where it cannot be."""
        self._problem: Problem | None = None

    def entries(self) -> tuple[Entry, ...]:
        """The rows."""
        return (
            Entry("task", "Task", options=(_OTHER_TASK,)),
            Entry("file", "Task file", is_path=True, hint="my-task/task.toml"),
            Entry("folder", "Documents", is_path=True, hint="the folder with the documents"),
        )

    def show_models(self, models: tuple[InstalledModel, ...]) -> None:
        """Offers the tasks and models that are installed, once they are known."""
        form = self._form
        if not self._models and models:
            self._models = models
            preferred = next((m for m in models if m.name == self._preferred_model), None)
            tasks = dict.fromkeys(m.manifest.task_name for m in sorted(models, key=lambda m: not m.active))
            first = preferred.manifest.task_name if preferred else next(iter(tasks))
            form.offer("task", [*(Option(name, name) for name in tasks), _OTHER_TASK], first)
            self._offer_fitting(self._preferred_model)
            self._on_count()
        form.show_row("file", not form.value("task"))

    def value_changed(self, name: str) -> None:
        """Offers the models of the chosen task."""
        if name == "task":
            self._form.show_row("file", not self._form.value("task"))
            self._offer_fitting()
        elif name == "folder":
            self.count = self._problem = None

    def _offer_fitting(self, preferred: str = "") -> None:
        task_name = self._form.value("task")
        fitting = [m for m in self._models if m.manifest.task_name == task_name or not task_name]
        fitting.sort(key=lambda m: (not m.active, not is_approved(m.manifest)))
        self._offer_models(fitting, preferred)

    def count_folder(self) -> None:
        """Counts the folder in a thread, unless it is the one that was counted last."""
        folder = self._form.value("folder")
        if folder and folder != self._counted_folder:
            self._counted_folder, self.count, self._problem = folder, None, None
            self._form.run_worker(lambda: self._count(folder), thread=True, exclusive=True, group="count")

    def _count(self, folder: str) -> None:
        count, problem = None, None
        try:
            count = count_documents(typed_path(folder))
        except READING_ERRORS as error:
            problem = problem_of(error)
        self._form.call_later(self._take_count, folder, count, problem)

    def _take_count(self, folder: str, count: FolderCount | None, problem: Problem | None) -> None:
        if folder == self._form.value("folder"):
            self.count, self._problem = count, problem
            self._on_count()

    def missing(self) -> str:
        """What is still missing; empty where nothing is."""
        if not self._form.value("task") and not self._form.value("file"):
            return "name the task file"
        if not self._form.value("folder"):
            return "name the folder with the documents"
        return self._problem.message if self._problem else ""

    def facts(self) -> list[Line]:
        """What the folder holds."""
        if not self._form.value("folder"):
            return [[Cell("Type the folder with the documents; they are counted at once.", FAINT)]]
        if self._problem:
            return [[Cell(self._problem.message, BAD)], [Cell(self._problem.hint)]]
        return [[Cell("Counting the documents ...", FAINT)]] if self.count is None else count_lines(self.count)

    def missing_lines(self, missing: str) -> list[Line]:
        """What the form still needs, once the folder is counted."""
        is_counted = self.count is not None or self._problem is not None
        return [[], [Cell(f"Still missing: {missing}", DOUBTFUL)]] if missing and is_counted else []

    def model(self, name: str) -> InstalledModel | None:
        """The model of the store that a row of the form names."""
        return next((m for m in self._models if m.name == self._form.value(name)), None)

    def task_path(self, model: InstalledModel | None) -> Path:
        """The typed task file, or the one inside the model."""
        if self._form.value("task") and model is not None:
            return model.directory / TASK_FILE
        return typed_path(self._form.value("file"))

    def folder_path(self) -> Path:
        """The folder of documents."""
        return typed_path(self._form.value("folder"))

    def command_words(self, model: InstalledModel | None) -> list[str]:
        """Task file and folder as a command names them."""
        named = self._form.value("task") or self._form.value("file")
        return [str(self.task_path(model)) if named else "TASK", path_word(self._form.value("folder"), "DOCUMENTS")]


def path_word(typed: str, placeholder: str) -> str:
    """A typed path as a command names it, or what stands for it while it is missing."""
    return str(typed_path(typed)) if typed else placeholder


def count_lines(count: FolderCount) -> list[Line]:
    """What a folder holds, by type."""
    at_least = "" if count.complete else "at least "
    documents = human_count(count.documents, "document")
    lines: list[Line] = [fact("documents", f"{at_least}{documents}, {human_size(count.size_bytes)}")]
    if not count.documents:
        return [*lines, fact("", Cell("this folder holds no documents", DOUBTFUL))]
    types = ", ".join(f"{entry.documents:,} {name}" for name, entry in count.by_type.items())
    sampled = f" (of {count.looked_at:,} examined)" if count.looked_at < count.documents else ""
    lines.append(fact("types", types + sampled))
    if other := count.by_type.get(UNKNOWN_TYPE):
        unknown = f"{human_count(other.documents, 'document')} of an unknown type: each ends as a failed row"
        lines.append(fact("", Cell(unknown, DOUBTFUL)))
    return lines
