"""A form for a comparison: two models, or a model and a frontier, on a folder or a sample of it."""

from collections.abc import Sequence

from appliance.engines.frontier_config import FrontierConfig, frontier_names, load_frontier
from appliance.ground.errors import ApplianceError
from appliance.ground.settings import Settings
from appliance.ground.text import human_count
from appliance.models.store import InstalledModel
from tui.data.snapshot import Snapshot
from tui.frames.action import Action, ActionProgress, ActionResult, ActionScreen
from tui.frames.form import Entry, FormScreen
from tui.rendering.facts import fact
from tui.rendering.model_lines import verdict_cell
from tui.screens.task_rows import TaskRows
from tui.text.cells import BAD, DOUBTFUL, STRONG, Cell, Line
from tui.text.shell_commands import shell_words, typed_path
from tui.widgets.choice import Option

DEFAULT_SAMPLE = 200
SEND_WORD = "send"
_FRONTIER = "frontier:"


class NewComparisonScreen(FormScreen):
    """What is compared."""

    TAB = "Compare"
    SUBMIT_NAME = "Next; on the last row: see what will happen"
    KEYS = (("Enter", "Next", "the next row; on the last one: what will happen, before anything starts"),)
    HELP_LINES = (
        "A new comparison: A and B answer the same documents. B may be a frontier that `config.toml` names; then"
        " documents leave this machine, as far as the policy allows, and you confirm that once more.",
        "Sample is how many documents are drawn at random; 0 takes all. Labels is a file with right answers, JSON"
        " Lines with document and answer; without it you can judge the documents that differ.",
    )

    def __init__(self) -> None:
        super().__init__()
        self._task_rows = TaskRows(self, self._offer_models, self._show)

    def entries(self) -> Sequence[Entry]:
        """The rows."""
        return (
            *self._task_rows.entries(),
            Entry("first", "Model A", options=()),
            Entry("second", "Model B", options=()),
            Entry("sample", "Sample", str(DEFAULT_SAMPLE), hint="0 takes all documents"),
            Entry("labels", "Labels", is_path=True, hint="optional: a file of labelled rows"),
        )

    def on_mount(self) -> None:
        """Begins with the folder: the task is mostly the right one already."""
        self.query_one("#folder").focus()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Offers what is installed, once it is known."""
        self._task_rows.show_models(snapshot.models.models)

    def value_changed(self, name: str) -> None:
        """Offers the models of the chosen task."""
        self._task_rows.value_changed(name)

    def values_settled(self) -> None:
        """Counts the folder, and shows what is known so far."""
        self._task_rows.count_folder()
        self._show()

    def _offer_models(self, fitting: Sequence[InstalledModel], preferred: str) -> None:
        """Offers the models that answer the task, and for B also the frontiers."""
        options = [Option(m.name, f"{m.name}   {'active' if m.active else 'not active'}") for m in fitting]
        self.offer("first", options, preferred or (options[0].value if options else ""))
        try:
            names = frontier_names(self.stillroom.settings)
        except ApplianceError:
            names = []
        others = [*options[1:], *options[:1], *(Option(_FRONTIER + name, f"frontier {name}") for name in names)]
        self.offer("second", others)

    def _frontier(self) -> str:
        second = self.value("second")
        return second.removeprefix(_FRONTIER) if second.startswith(_FRONTIER) else ""

    def missing(self) -> str:
        """What is still missing."""
        if missing := self._task_rows.missing():
            return missing
        first, second = self.value("first"), self.value("second")
        if not first or not second:
            return "no installed model answers this task: i in the list of models imports one"
        if first == second or self._identity("first") == self._identity("second"):
            return "A and B are the same model: choose another one for B"
        sample = self.value("sample")
        if not (sample.isascii() and sample.isdecimal()):
            return "sample is a number of documents; 0 takes all"
        labels = self.value("labels")
        return f"there is no file {labels}" if labels and not typed_path(labels).is_file() else ""

    def _identity(self, name: str) -> str:
        """What makes the model of a row this one; two names may stand for the same model."""
        model = self._task_rows.model(name)
        return model.manifest.identity if model else self.value(name)

    def _show(self) -> None:
        rows = self._task_rows
        self.show_command(self._command())
        self.show_findings([*rows.facts(), *self._side_facts(), *rows.missing_lines(self.missing())])

    def _side_facts(self) -> list[Line]:
        """The sides, and what a frontier means."""
        lines: list[Line] = []
        for letter, name in (("A", "first"), ("B", "second")):
            if model := self._task_rows.model(name):
                form = f"{model.manifest.format} {model.manifest.quantization}".strip()
                lines.append(fact(f"model {letter}", verdict_cell(model.manifest), Cell(f"   {form}")))
        if name := self._frontier():
            lines.append(fact("model B", Cell(f"frontier {name}: documents leave this machine", DOUBTFUL)))
        if not self.value("labels"):
            lines.append(fact("labels", "none: judge the documents that differ, and the verdict uses your judgements"))
        return lines

    def _command(self) -> str:
        """`stillroom compare` with the same words."""
        model, frontier = self._task_rows.model("first"), self._frontier()
        models = ["--model", self.value("first") or "A"]
        models += [] if frontier else ["--model", self.value("second") or "B"]
        words = ["stillroom", "compare", *self._task_rows.command_words(model), *models]
        words += ["--frontier", frontier] if frontier else []
        words += ["--sample", self.value("sample")] if self.value("sample") not in ("", "0") else []
        words += ["--labels", str(typed_path(self.value("labels")))] if self.value("labels") else []
        return shell_words([*words, "--detach"])

    def submit(self) -> None:
        """Says what will happen; a frontier asks for a typed word."""
        from appliance.comparison.request import CompareRequest

        frontier, labels = self._frontier(), self.value("labels")
        request = CompareRequest(
            self._task_rows.task_path(self._task_rows.model("first")), self._task_rows.folder_path(),
            (self.value("first"),) if frontier else (self.value("first"), self.value("second")),
            (frontier,) if frontier else (), int(self.value("sample")), typed_path(labels) if labels else None,
        )  # fmt: skip
        settings = self.stillroom.settings

        def act(on_progress: ActionProgress) -> ActionResult:
            from appliance.comparison.view import start_comparison
            from tui.screens.comparison import ComparisonScreen

            on_progress.report("listing the documents and verifying the models")
            identifier = start_comparison(settings, request)
            return ActionResult((), lambda: ComparisonScreen(identifier))

        lines = self._what_happens(settings, frontier)
        title = f"Compare {self.value('first')} with {frontier or self.value('second')}"
        action = Action(title, lines, self._command(), "Start", act, confirm_word=SEND_WORD if frontier else "")
        self.app.push_screen(ActionScreen(self.TAB, action))

    def _what_happens(self, settings: Settings, frontier: str) -> list[Line]:
        sample = int(self.value("sample"))
        counted = self._task_rows.count
        count = min(sample, counted.documents) if counted and sample else counted.documents if counted else sample
        drawn = "drawn at random " if sample and counted and counted.documents > sample else ""
        lines: list[Line] = [
            [Cell(f"{human_count(count, 'document')} {drawn}will be answered by both, in a process of its own.")],
            [Cell("It continues when this program, the connection or the terminal ends.")],
        ]
        if frontier:
            try:
                lines += frontier_lines(load_frontier(settings, frontier), count)
            except ApplianceError as error:
                lines += [[], [Cell(error.message, BAD)], [Cell(error.hint)]]
        return lines


def frontier_lines(config: FrontierConfig, documents: int) -> list[Line]:
    """What leaves the machine."""
    effort = "reasoning off" if config.is_off else f"reasoning effort {config.choice.effort}"
    return [
        [],
        [Cell(f"Documents leave this machine: up to {documents:,}, to {config.endpoint.host}.", STRONG)],
        [Cell(f"Model {config.choice.model}, {effort}. The policy decides which documents may leave and what is")],
        [Cell("masked; without a policy nothing leaves. `stillroom egress show` lists every byte that left.")],
    ]
