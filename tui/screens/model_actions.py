"""What can be done with an installed model, as actions that say beforehand what they do."""

from appliance.ground.settings import Settings
from appliance.ground.text import human_count, human_size
from appliance.jobs.model_use import remove_model
from appliance.models.store import InstalledModel, Store
from tui.frames.action import Action, ActionProgress, ActionResult
from tui.text.cells import DOUBTFUL, STRONG, Cell, Line
from tui.text.shell_commands import shell_word

UNSAFE_WORD = "unsafe"


def verify(settings: Settings, model: InstalledModel) -> Action:
    """Reads every file again and compares it with its hash."""
    files, size = human_count(len(model.manifest.files), "file"), human_size(model.manifest.size_bytes)

    def act(on_progress: ActionProgress) -> ActionResult:
        Store(settings).verify(model.name, on_progress)
        return ActionResult([[Cell(f"Every file is there and has the SHA-256 of the manifest ({files}, {size}).")]])

    return Action(
        f"Verify {model.name}", [[Cell(f"Reads {files}, {size}, and compares each with the hash in the manifest.")]],
        f"stillroom models verify {shell_word(model.name)}", "Verify", act, model.manifest.size_bytes, immediate=True,
    )  # fmt: skip


def activate(settings: Settings, model: InstalledModel, current: str | None) -> Action:
    """Makes the model the one that answers its task; what no gate found READY needs a typed word."""
    manifest = model.manifest
    now = f"Now it is {current}." if current else "Now no model answers this task by itself."
    back = " `b` in the list of models goes back to the previous one." if current else ""
    lines: list[Line] = [
        [Cell(f"{model.name} will answer the task {manifest.task_name} where no other model is named. {now}")],
        [Cell("Its files are verified first." + back)],
    ]
    safe = manifest.ready
    if not safe:
        said = f"the gate says {manifest.verdict.verdict}" if manifest.verdict else "no gate has judged this model"
        lines += [
            [],
            [Cell(f"Not READY: {said}.", DOUBTFUL)],
            [Cell("Nobody knows how often its answers are wrong. Every row that it writes will say `unsafe`.")],
            [Cell("`stillroom gate` judges it on labelled rows; that is the way to take.")],
        ]

    def act(on_progress: ActionProgress) -> ActionResult:
        Store(settings).activate(model.name, not safe, on_progress)
        return ActionResult([[Cell(f"{model.name} answers the task {manifest.task_name} from now on.")]])

    command = f"stillroom models activate {shell_word(model.name)}" + ("" if safe else " --unsafe")
    return Action(
        f"Activate {model.name}", lines, command, "Activate", act, manifest.size_bytes, "" if safe else UNSAFE_WORD
    )


def roll_back(settings: Settings, task_name: str, current: str, previous: str) -> Action:
    """Makes the previous model of a task active again."""

    def act(_on_progress: ActionProgress) -> ActionResult:
        model = Store(settings).roll_back(task_name)
        return ActionResult([[Cell(f"{model.name} answers the task {task_name} again.")]])

    lines: list[Line] = [
        [Cell(f"{previous} will answer the task {task_name} again, in place of {current}.")],
        [Cell("Its files are verified first. Jobs that run go on with the model that they began with.")],
    ]
    return Action(
        f"Roll back the task {task_name}",
        lines,
        f"stillroom models roll-back {shell_word(task_name)}",
        "Roll back",
        act,
    )


def delete(settings: Settings, model: InstalledModel) -> Action:
    """Deletes the model for good."""

    def act(_on_progress: ActionProgress) -> ActionResult:
        remove_model(settings, model.name)
        return ActionResult([[Cell(f"{model.name} was deleted.")]])

    size = human_size(model.manifest.size_bytes)
    lines: list[Line] = [
        [Cell("This cannot be undone.", STRONG)],
        [Cell(f"The files in {model.directory} ({size}) are deleted.")],
        [Cell("Rows that the model has written stay. A model that is active or that a job uses is not deleted.")],
    ]
    command = f"stillroom models delete {shell_word(model.name)} --yes"
    return Action(f"Delete {model.name}", lines, command, "Delete", act, key="y")
