"""Whether a base can become what is wanted of it, asked of the exports before the training.

Training and exports do not import each other: the question goes through the command table, to `stillroom export
--check`, which builds the vocabulary and the map of tensors and reads no weights.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.ground.errors import UsageError
from appliance.ground.text import human_count
from training.verb_call import call_verb

FORMS = {"decoder": ("gguf-q8_0", "onnx"), "encoder": ("onnx",)}
"""One target of each format, which stands for the others."""


def target_problems(base_dir: Path, targets: Sequence[str], family: str) -> dict[str, tuple[str, str]]:
    """Of each target that a base cannot become, why and what to do.

    Raises:
        UsageError: A target is unknown.
    """
    named = [part for target in targets for part in ("--target", target)]
    printed = call_verb("export", str(base_dir), "--check", "--family", family, "--json", *named)
    checked = json.loads(printed)["targets"]
    return {str(entry["target"]): (str(entry["problem"]), str(entry["hint"])) for entry in checked if entry["problem"]}


def check_targets(base_dir: Path, targets: Sequence[str], family: str, on_problem: Callable[[str], None]) -> None:
    """Refuses a base that cannot become every target that was asked for, or, where none was, that can become nothing.

    Args:
        on_problem: Gets a sentence for each format that the base cannot become, where no target was asked for.

    Raises:
        UsageError: Of the first such target, its reason.
    """
    forms = targets or FORMS[family]
    problems = target_problems(base_dir, forms, family)
    if not problems:
        return
    target, (problem, hint) = next(iter(problems.items()))
    if targets:
        raise UsageError(f"the student could not become {target}: {problem}", hint)
    if len(problems) == len(forms):
        raise UsageError(
            f"a student of {base_dir.name} could be exported to nothing"
            f" ({human_count(len(forms), 'format')} tried): {problem}",
            hint,
        )
    on_problem(f"a student of this base cannot become {target.partition('-')[0].upper()}: {problem}")
