"""All checks in one order: what stops everything comes first."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.diagnosis import machine, program, state
from appliance.diagnosis.check import Check, CheckState
from appliance.ground.errors import ApplianceError
from appliance.ground.settings import SandboxPolicy, Settings, home_dir, load_settings


def examine(quick: bool = False) -> Iterator[Check]:
    """Examines everything, one finding after the other; a check that breaks is a finding too.

    Args:
        quick: Compare sizes of model files rather than hashes.
    """
    home = home_dir(os.environ)
    yield from _each(
        {
            "interpreter": program.check_interpreter, "libraries": program.check_libraries,
            "sqlite": program.check_sqlite, "processor": program.check_processor, "gpu": machine.check_gpu,
            "memory": machine.check_memory, "home": lambda: state.check_home(home),
            "disk": lambda: state.check_disk(home),
        }
    )  # fmt: skip
    settings, problem = _settings(home)
    if problem is not None:
        yield problem
    policy = settings.sandbox if settings else SandboxPolicy.REQUIRED
    yield from _each({"sandbox": lambda: machine.check_sandbox(policy)})
    if settings is not None:
        yield from _each(
            {"models": lambda: state.check_models(settings, quick), "egress": lambda: state.check_egress(settings)}
        )


def _settings(home: Path) -> tuple[Settings | None, Check | None]:
    try:
        return load_settings(os.environ), None
    except ApplianceError as error:
        return None, Check("configuration", CheckState.FAIL, error.message, error.hint or f"check {home}")


def _each(examinations: dict[str, Callable[[], Check]]) -> Iterator[Check]:
    for name, examine_one in examinations.items():
        try:
            yield examine_one()
        except ApplianceError as error:
            yield Check(name, CheckState.FAIL, error.message, error.hint or "send a `stillroom support-bundle`")
        except Exception as error:  # The doctor is for machines on which anything may be wrong.
            yield Check(name, CheckState.FAIL, f"{type(error).__name__}: {error}", "send a `stillroom support-bundle`")
