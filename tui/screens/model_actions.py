"""What can be done with an installed model, as actions that say beforehand what they do."""

from appliance.ground.settings import Settings
from appliance.ground.text import human_count, human_size
from appliance.jobs.model_use import remove_model
from appliance.models.approval import how_to_approve, is_approved, why_not_approved
from appliance.models.manifest import Manifest
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
        return ActionResult([[Cell(f"The model is intact: {files} ({size}) have the SHA-256 of the manifest.")]])

    return Action(
        f"Verify {model.name}", [[Cell(f"Reads {files}, {size}, and compares each with the hash in the manifest.")]],
        f"stillroom models verify {shell_word(model.name)}", "Verify", act, immediate=True,
    )  # fmt: skip


def activate(settings: Settings, model: InstalledModel, current: str | None) -> Action:
    """Makes the model the one that answers its task; what no gate found READY needs a typed word."""
    manifest = model.manifest
    now = f"At present {current} does." if current else "At present no model does."
    back = " `b` in the list of models goes back to the previous one." if current else ""
    lines: list[Line] = [
        [Cell(f"{model.name} will answer the task {manifest.task_name} where no model is named. {now}")],
        [Cell("Its files are verified first." + back)],
    ]
    safe = is_approved(manifest)
    if not safe:
        lines += [
            [],
            [Cell(f"Not approved: {_gate_outcome(manifest)}.", DOUBTFUL)],
            [Cell("How often its answers are wrong is not known. Each of its rows will say that it is not approved.")],
        ]

    def act(on_progress: ActionProgress) -> ActionResult:
        Store(settings).activate(model.name, not safe, on_progress)
        return ActionResult([[Cell(f"{model.name} now answers the task {manifest.task_name}.")]])

    command = f"stillroom models activate {shell_word(model.name)}" + ("" if safe else " --unsafe")
    return Action(f"Activate {model.name}", lines, command, "Activate", act, "" if safe else UNSAFE_WORD)


def _gate_outcome(manifest: Manifest) -> str:
    """Why the model is not approved."""
    verdict = manifest.verdict
    if verdict is not None and verdict.is_ready:
        return f"{why_not_approved(manifest)}; {how_to_approve(manifest)}"
    if verdict is None:
        return "no gate has judged it; `stillroom gate` does, on labelled rows"
    documents = human_count(verdict.documents, "document")
    if verdict.verdict.startswith("NEED"):
        return f"the gate has not decided after {documents} ({verdict.verdict}); judge it on more labelled rows"
    return f"it failed the gate ({documents})"


def roll_back(settings: Settings, task_name: str, current: str, previous: str) -> Action:
    """Makes the previous model of a task active again."""

    def act(_on_progress: ActionProgress) -> ActionResult:
        model = Store(settings).roll_back(task_name)
        return ActionResult([[Cell(f"{model.name} answers the task {task_name} again.")]])

    lines: list[Line] = [
        [Cell(f"{previous} will answer the task {task_name} again, in place of {current}.")],
        [Cell("Its files are verified first. Running jobs keep the model that they started with.")],
    ]
    return Action(
        f"Roll back the task {task_name}",
        lines,
        f"stillroom models roll-back {shell_word(task_name)}",
        "Roll back",
        act,
    )


def remove(settings: Settings, model: InstalledModel) -> Action:
    """Removes the model for good."""

    def act(_on_progress: ActionProgress) -> ActionResult:
        remove_model(settings, model.name)
        return ActionResult([[Cell(f"{model.name} was removed.")]])

    size = human_size(model.manifest.size_bytes)
    lines: list[Line] = [
        [Cell("This cannot be undone.", STRONG)],
        [Cell(f"The files in {model.directory} ({size}) are deleted.")],
        [Cell("Rows that it has written stay. An active model, or one that a job uses, is not removed.")],
    ]
    command = f"stillroom models remove {shell_word(model.name)} --yes"
    return Action(f"Remove {model.name}", lines, command, "Remove", act, key="y")
