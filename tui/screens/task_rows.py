"""What the forms for jobs and comparisons share: which task, which folder, which models fit, what the folder holds."""

from collections.abc import Sequence
from pathlib import Path

from textual.message import Message

from appliance.ground.text import human_count, human_size
from appliance.jobs.preview import UNKNOWN_TYPE, FolderCount, count_documents
from appliance.models.store import InstalledModel
from appliance.tasks.task import TASK_FILE
from tui.data.problems import READING_ERRORS, Problem, problem_of
from tui.data.snapshot import Snapshot
from tui.frames.form import Entry, FormScreen
from tui.rendering.facts import fact
from tui.text.cells import BAD, DOUBTFUL, FAINT, Cell, Line
from tui.text.shell_commands import typed_path
from tui.widgets.choice import Option

_OTHER = Option("", "another task file")


class TaskForm(FormScreen):
    """A form that begins with a task and a folder of documents."""

    class Counted(Message):
        """The folder was counted, or could not be."""

        def __init__(self, folder: str, count: FolderCount | None, problem: Problem | None = None) -> None:
            super().__init__()
            self.folder, self.count, self.problem = folder, count, problem

    def __init__(self, model_name: str = "") -> None:
        super().__init__()
        self._wanted_model = model_name
        self._models: tuple[InstalledModel, ...] = ()
        self._counted: TaskForm.Counted | None = None
        self._asked_folder = ""

    def entries(self) -> Sequence[Entry]:
        """The rows."""
        return (
            Entry("task", "Task", options=(_OTHER,)),
            Entry("file", "Task file", is_path=True, hint="my-task/task.toml"),
            Entry("folder", "Documents", is_path=True, hint="the folder with the documents"),
            *self.further_entries(),
        )

    def further_entries(self) -> Sequence[Entry]:
        """The rows below."""
        raise NotImplementedError

    def offer_models(self, fitting: Sequence[InstalledModel], wanted: str = "") -> None:
        """Offers the models that answer the chosen task, the active one first."""
        raise NotImplementedError

    def further_facts(self) -> list[Line]:
        """What the rows below come to."""
        return []

    def command(self) -> str:
        """The command that does the same."""
        raise NotImplementedError

    def missing(self) -> str:
        """What is still missing; empty where nothing is."""
        if not self.value("task") and not self.value("file"):
            return "name the task file"
        if not self.value("folder"):
            return "name the folder with the documents"
        if self._counted is not None and self._counted.problem is not None:
            return self._counted.problem.message
        return ""

    def on_mount(self) -> None:
        """Begins with the folder: the task is mostly the right one already."""
        self.query_one("#folder").focus()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Offers what is installed, once it is known."""
        if not self._models and snapshot.models.models:
            self._models = snapshot.models.models
            wanted = next((m for m in self._models if m.name == self._wanted_model), None)
            names = dict.fromkeys(m.manifest.task_name for m in sorted(self._models, key=lambda m: not m.active))
            first = wanted.manifest.task_name if wanted else next(iter(names))
            self.offer("task", [*(Option(name, name) for name in names), _OTHER], first)
            self._offer_models(self._wanted_model)
            self._tell()
        self.show_row("file", not self.value("task"))

    def _offer_models(self, wanted: str = "") -> None:
        task_name = self.value("task")
        fitting = [m for m in self._models if m.manifest.task_name == task_name or not task_name]
        fitting.sort(key=lambda m: (not m.active, not m.manifest.ready))
        self.offer_models(fitting, wanted)

    def changed(self, name: str) -> None:
        """Offers the models of the chosen task."""
        if name == "task":
            self.show_row("file", not self.value("task"))
            self._offer_models()
        elif name == "folder":
            self._counted = None

    def settled(self) -> None:
        """Counts the folder in a thread."""
        folder = self.value("folder")
        if folder and folder != self._asked_folder:
            self._asked_folder, self._counted = folder, None
            self.run_worker(lambda: self._count(folder), thread=True, exclusive=True, group="count")
        self._tell()

    def _count(self, folder: str) -> None:
        try:
            message = self.Counted(folder, count_documents(typed_path(folder)))
        except READING_ERRORS as error:
            message = self.Counted(folder, None, problem_of(error))
        self.post_message(message)

    def on_task_form_counted(self, message: "TaskForm.Counted") -> None:
        """Shows what the folder holds."""
        if message.folder == self.value("folder"):
            self._counted = message
            self._tell()

    def model(self, name: str) -> InstalledModel | None:
        """The model of the store that this row names."""
        return next((m for m in self._models if m.name == self.value(name)), None)

    def task_path(self, model: InstalledModel | None) -> Path:
        """The typed task file, or the one that the model brings."""
        if self.value("task") and model is not None:
            return model.directory / TASK_FILE
        return typed_path(self.value("file"))

    def task_words(self, model: InstalledModel | None) -> str:
        """The task file as the command names it."""
        return str(self.task_path(model)) if self.value("task") or self.value("file") else "TASK"

    def folder(self) -> Path:
        """The folder of documents."""
        return typed_path(self.value("folder"))

    def path_word(self, name: str, missing: str) -> str:
        """A typed path as the command names it, or what stands for it while it is missing."""
        return str(typed_path(self.value(name))) if self.value(name) else missing

    def disabled_keys(self) -> dict[str, str]:
        """What is still missing, on the last row."""
        focused = self.focused.id if self.focused else ""
        missing = self.missing()
        return {"Enter": missing} if missing and focused == self._order[-1] else {}

    def _tell(self) -> None:
        self.show_command(self.command())
        missing = self.missing() if self._counted is not None else ""
        still: list[Line] = [[], [Cell(f"Still missing: {missing}", DOUBTFUL)]] if missing else []
        self.find([*self._folder_facts(), *self.further_facts(), *still])

    def _folder_facts(self) -> list[Line]:
        counted = self._counted
        if not self.value("folder"):
            return [[Cell("Type the folder with the documents; they are counted at once.", FAINT)]]
        if counted is None:
            return [[Cell("Counting the documents ...", FAINT)]]
        if counted.count is not None:
            return count_lines(counted.count)
        problem = counted.problem or Problem("")
        return [[Cell(problem.message, BAD)], [Cell(problem.hint)]]


def count_lines(count: FolderCount) -> list[Line]:
    """What a folder holds, by type."""
    more = "" if count.complete else "at least "
    documents = human_count(count.documents, "document")
    lines: list[Line] = [fact("documents", f"{more}{documents}, {human_size(count.size_bytes)}")]
    if not count.documents:
        return [*lines, fact("", Cell("there is nothing to do in this folder", DOUBTFUL))]
    types = ", ".join(f"{found.documents:,} {name}" for name, found in count.by_type.items())
    sampled = f" (of {count.looked_at:,} that were looked at)" if count.looked_at < count.documents else ""
    lines.append(fact("types", types + sampled))
    if other := count.by_type.get(UNKNOWN_TYPE):
        unknown = (
            f"{human_count(other.documents, 'document')} of a type that no reader knows; each becomes a named failure"
        )
        lines.append(fact("", Cell(unknown, DOUBTFUL)))
    return lines
