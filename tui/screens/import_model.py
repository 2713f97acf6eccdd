"""Bring a model in: where it is, what was checked of it, then the copy."""

from collections.abc import Sequence
from pathlib import Path

from textual.message import Message
from textual.worker import Worker, get_current_worker

from appliance.ground.errors import ApplianceError
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
_PASSES = 3
"""How often adding a model reads each of its bytes."""


class ImportScreen(FormScreen):
    """Checks a model and copies it into the store."""

    TAB = "Models"
    FINDINGS_INDENT = 14
    GO_ON = "Next; on the last row: bring it in"
    KEYS = (("Enter", "Bring in", "the next row; on the last one: copy the checked model into the store"),)
    HELP_LINES = (
        "Bring in a model from a folder or a USB disk. Type the folder, or one above it; the right arrow takes the"
        " offered name. Left and right choose among the disks that are mounted, and among several models in a folder.",
        "Format, name, licence, disk, memory, verdict and every hash are checked before anything is copied. What is"
        " `bad` stops it; a `note` is worth knowing.",
    )

    class Checked(Message):
        """The check ended."""

        def __init__(self, found: list[Path], checked: ImportCheck | None, problem: Problem | None = None) -> None:
            super().__init__()
            self.found, self.checked, self.problem = found, checked, problem

    def __init__(self) -> None:
        super().__init__()
        self._disks = mounted_disks()
        self._found: list[Path] = []
        self._checked: ImportCheck | None = None
        self._worker: Worker[None] | None = None
        self._asked = ("", "", "")

    def entries(self) -> Sequence[Entry]:
        """Where it is, which one, what it is called."""
        disks = [Option(str(place), str(place)) for place in self._disks]
        return (
            Entry("disk", "Disk", options=(Option("", "none of these"), *disks)),
            Entry("folder", "Folder", is_path=True, hint="/media/usb/my-model"),
            Entry("model", "Model", options=()),
            Entry("name", "Name", hint="as it is called there"),
        )

    def on_mount(self) -> None:
        """Offers the disks that are there."""
        self.show_row("model", False)
        self.show_row("disk", bool(self._disks))
        self.query_one("#folder").focus()

    def disabled_keys(self) -> dict[str, str]:
        """Only a model that passed is brought in."""
        focused = self.focused.id if self.focused else ""
        if focused != "name":
            return {}
        if self._checked is None:
            return {"Enter": "no model was checked yet"}
        return {} if self._checked.good else {"Enter": "this model cannot be brought in: see what is bad"}

    def changed(self, name: str) -> None:
        """What was checked no longer holds."""
        if name == "disk":
            self.fill("folder", self.value("disk"))
        if name in ("disk", "folder"):
            self._found = []
            self.show_row("model", False)
        self._checked = None

    def settled(self) -> None:
        """Looks for models in the folder and checks the chosen one in a thread."""
        folder, name = self.value("folder"), self.value("name")
        chosen = self.value("model") if self._found else ""
        self._tell_command(str(typed_path(chosen or folder)) if folder else "FOLDER", name)
        if not folder:
            self.find([[Cell("Type the folder of a model, or one above it, such as /media/usb.", FAINT)]])
            return
        if (folder, chosen, name) == self._asked and self._checked:
            return
        self._asked = (folder, chosen, name)
        self._checked = None
        if self._worker is not None:
            self._worker.cancel()
        self.find([[Cell("Checking: every file is read and compared with its hash ...", FAINT)]])
        settings, found = self.stillroom.settings, self._found
        place = typed_path(chosen or folder)
        self._worker = self.run_worker(
            lambda: self._check(settings, place, found, name or None), thread=True, exclusive=True, group="check"
        )

    def _check(self, settings: Settings, place: Path, found: list[Path], name: str | None) -> None:
        worker = get_current_worker()

        def told(_read_bytes: int) -> None:
            if worker.is_cancelled:
                raise ActionCancelled

        try:
            found = found or find_artifacts(place)
            chosen = place if place in found else found[0]
            message = self.Checked(found, check_import(settings, chosen, name, told))
        except ActionCancelled:
            return
        except ApplianceError as error:
            message = self.Checked([], None, Problem(error.message, error.hint))
        except READING_ERRORS as error:
            message = self.Checked([], None, problem_of(error))
        if not worker.is_cancelled:
            self.post_message(message)

    def on_import_screen_checked(self, message: "ImportScreen.Checked") -> None:
        """Shows what was found and how each check ended."""
        if message.problem is not None:
            self.find([[Cell(message.problem.message, BAD)], [Cell(message.problem.hint)]])
            return
        checked = message.checked
        assert checked is not None
        if message.found != self._found:
            self._found = message.found
            self.offer("model", [Option(str(path), path.name) for path in message.found], str(checked.directory))
            self.show_row("model", len(message.found) > 1)
        self._asked = (self.value("folder"), self.value("model"), self.value("name"))
        self._checked = checked
        self._tell_command(str(checked.directory), self.value("name"))
        self.find(check_lines(checked))

    def _tell_command(self, place: str, name: str) -> None:
        self.show_command(shell_words(["stillroom", "models", "add", place, *(["--name", name] if name else [])]))

    def go_on(self) -> None:
        """Copies the model into the store."""
        assert self._checked is not None  # `why_not` refuses the key before
        assert self._checked.manifest is not None
        name = self.value("name") or None
        action = add(self.stillroom.settings, self._checked.directory, self._checked.manifest, name)
        self.app.switch_screen(ActionScreen(self.TAB, action))


def check_lines(checked: ImportCheck) -> list[Line]:
    """The checks, one line each, and what they come to."""
    lines: list[Line] = []
    for finding in checked.findings:
        style = _STYLES[finding.level]
        hint = f": {finding.hint}" if finding.hint and finding.level is not Level.OK else ""
        lines.append([Cell(f"{finding.check:8} ", FAINT), Cell(f"{finding.level.value:5}", style),
                      Cell(finding.message + hint)])  # fmt: skip
    ends = (
        Cell("Nothing stands against it: Enter on the last row brings it in.", STRONG)
        if checked.good
        else Cell("It cannot be brought in.", BAD)
    )
    return [*lines, [], [ends]]


def add(settings: Settings, directory: Path, manifest: Manifest, name: str | None) -> Action:
    """Copies a checked model into the store."""

    def act(on_progress: ActionProgress) -> ActionResult:
        model = Store(settings).add(directory, name, on_progress)
        told = "Its files were read, copied, and compared with their hashes again. "
        following = "`a` in the list of models makes it the one that answers its task."
        return ActionResult([[Cell(f"{model.name} is installed. {told}{following}")]])

    command = shell_words(["stillroom", "models", "add", str(directory), *(["--name", name] if name else [])])
    lines: list[Line] = [[Cell(f"Copies {directory} into {settings.models_dir}.")]]
    total_bytes = manifest.size_bytes * _PASSES
    return Action(f"Bring in {name or manifest.name}", lines, command, "Bring in", act, total_bytes, immediate=True)
