"""Import a model: its folder, how each check ended, then the copy into the store."""

from collections.abc import Sequence
from pathlib import Path

from textual.message import Message
from textual.worker import Worker, get_current_worker

from appliance.ground.errors import ApplianceError
from appliance.ground.progress import Progress
from appliance.ground.settings import Settings
from appliance.models.checking import ImportCheck, Level, check_import, find_artifacts, mounted_disks
from appliance.models.manifest import Manifest
from appliance.models.store import Store
from tui.data.problems import READING_ERRORS, Problem, problem_of
from tui.frames.action import Action, ActionCancelled, ActionProgress, ActionResult, ActionScreen
from tui.frames.form import Entry, FormScreen
from tui.text.cells import BAD, DOUBTFUL, FAINT, GOOD, STRONG, Cell, Line
from tui.text.shell_commands import shell_words, typed_path
from tui.widgets.choice import Option

_STYLES = {Level.OK: GOOD, Level.NOTE: DOUBTFUL, Level.BAD: BAD}
"""How often adding a model reads each of its bytes."""


class ImportScreen(FormScreen):
    """Checks a model and copies it into the store."""

    TAB = "Models"
    FINDINGS_INDENT = 14
    SUBMIT_NAME = "Next; on the last row: import"
    KEYS = (("Enter", "Import", "the next row; on the last one: copy the checked model into the store"),)
    HELP_LINES = (
        "Import a model from a folder or a USB disk. Type the folder, or one above it; the right arrow takes the"
        " offered name. Left and right choose among the disks that are mounted, and among several models in a folder.",
        "Format, name, licence, disk, memory, verdict and every hash are checked before anything is copied. What is"
        " `bad` stops the import; a `note` does not.",
    )

    class Checked(Message):
        """The check ended."""

        def __init__(self, artifacts: list[Path], check: ImportCheck | None, problem: Problem | None = None) -> None:
            super().__init__()
            self.artifacts, self.check, self.problem = artifacts, check, problem

    def __init__(self) -> None:
        super().__init__()
        self._disks = mounted_disks()
        self._artifacts: list[Path] = []
        self._last_check: ImportCheck | None = None
        self._worker: Worker[None] | None = None
        self._checked_values = ("", "", "")

    def entries(self) -> Sequence[Entry]:
        """Where it is, which one, what it is called."""
        disks = [Option(str(place), str(place)) for place in self._disks]
        return (
            Entry("disk", "Disk", options=(Option("", "none of these"), *disks)),
            Entry("folder", "Folder", is_path=True, hint="/media/usb/my-model"),
            Entry("model", "Model", options=()),
            Entry("name", "Name", hint="optional: another name in the store"),
        )

    def on_mount(self) -> None:
        """Offers the disks that are there."""
        self.show_row("model", False)
        self.show_row("disk", bool(self._disks))
        self.query_one("#folder").focus()

    def missing(self) -> str:
        """Only a model that passed every check is imported."""
        if self._last_check is None:
            return "no model was checked yet"
        return "" if self._last_check.good else "this model cannot be imported: see what is bad"

    def value_changed(self, name: str) -> None:
        """What was checked no longer holds."""
        if name == "disk":
            self.fill("folder", self.value("disk"))
        if name in ("disk", "folder"):
            self._artifacts = []
            self.show_row("model", False)
        self._last_check = None

    def values_settled(self) -> None:
        """Looks for models in the folder and checks the chosen one in a thread."""
        folder, name = self.value("folder"), self.value("name")
        artifact = self.value("model") if self._artifacts else ""
        self._show_command(str(typed_path(artifact or folder)) if folder else "FOLDER", name)
        if not folder:
            self.show_findings([[Cell("Type the folder of a model, or one above it, such as /media/usb.", FAINT)]])
            return
        if (folder, artifact, name) == self._checked_values and self._last_check:
            return
        self._checked_values = (folder, artifact, name)
        self._last_check = None
        if self._worker is not None:
            self._worker.cancel()
        self.show_findings([[Cell("Checking: every file is read and compared with its hash ...", FAINT)]])
        settings, artifacts = self.stillroom.settings, self._artifacts
        place = typed_path(artifact or folder)
        self._worker = self.run_worker(
            lambda: self._read(settings, place, artifacts, name or None), thread=True, exclusive=True, group="check"
        )

    def _read(self, settings: Settings, place: Path, artifacts: list[Path], name: str | None) -> None:
        worker = get_current_worker()

        def on_progress(_progress: Progress) -> None:
            if worker.is_cancelled:
                raise ActionCancelled

        try:
            artifacts = artifacts or find_artifacts(place)
            directory = place if place in artifacts else artifacts[0]
            message = self.Checked(artifacts, check_import(settings, directory, name, on_progress))
        except ActionCancelled:
            return
        except ApplianceError as error:
            message = self.Checked([], None, Problem(error.message, error.hint))
        except READING_ERRORS as error:
            message = self.Checked([], None, problem_of(error))
        if not worker.is_cancelled:
            self.post_message(message)

    def on_import_screen_checked(self, message: "ImportScreen.Checked") -> None:
        """Shows the models of the folder and how each check ended."""
        if message.problem is not None:
            self.show_findings([[Cell(message.problem.message, BAD)], [Cell(message.problem.hint)]])
            return
        check = message.check
        assert check is not None
        if message.artifacts != self._artifacts:
            self._artifacts = message.artifacts
            self.offer("model", [Option(str(path), path.name) for path in message.artifacts], str(check.directory))
            self.show_row("model", len(message.artifacts) > 1)
        self._checked_values = (self.value("folder"), self.value("model"), self.value("name"))
        self._last_check = check
        self._show_command(str(check.directory), self.value("name"))
        self.show_findings(check_lines(check))

    def _show_command(self, place: str, name: str) -> None:
        self.show_command(shell_words(["stillroom", "models", "add", place, *(["--name", name] if name else [])]))

    def submit(self) -> None:
        """Copies the model into the store."""
        assert self._last_check is not None  # `why_not` refuses the key before
        assert self._last_check.manifest is not None
        name = self.value("name") or None
        action = add(self.stillroom.settings, self._last_check.directory, self._last_check.manifest, name)
        self.app.switch_screen(ActionScreen(self.TAB, action))


def check_lines(check: ImportCheck) -> list[Line]:
    """The checks, one line each, and what they come to."""
    lines: list[Line] = []
    for finding in check.findings:
        style = _STYLES[finding.level]
        hint = f": {finding.hint}" if finding.hint and finding.level is not Level.OK else ""
        lines.append([Cell(f"{finding.check:8} ", FAINT), Cell(f"{finding.level.value:5}", style),
                      Cell(finding.message + hint)])  # fmt: skip
    ends = (
        Cell("No check failed: Enter on the last row imports it.", STRONG)
        if check.good
        else Cell("This model cannot be imported.", BAD)
    )
    return [*lines, [], [ends]]


def add(settings: Settings, directory: Path, manifest: Manifest, name: str | None) -> Action:
    """Copies a checked model into the store."""

    def act(on_progress: ActionProgress) -> ActionResult:
        model = Store(settings).add(directory, name, on_progress)
        following = "`a` in the list of models activates it."
        return ActionResult([[Cell(f"{model.name} is installed. Its files were copied and verified. {following}")]])

    command = shell_words(["stillroom", "models", "add", str(directory), *(["--name", name] if name else [])])
    lines: list[Line] = [[Cell(f"Copies {directory} into {settings.models_dir}.")]]
    return Action(f"Import {name or manifest.name}", lines, command, "Import", act, immediate=True)
