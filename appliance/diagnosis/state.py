"""What the appliance keeps: the home folder and its disk, the models, and whether anything may leave the machine."""

import os
import stat
import tempfile
from pathlib import Path

from appliance.diagnosis.check import Check, CheckState, ok
from appliance.ground.errors import ApplianceError
from appliance.ground.settings import HOME_VARIABLE, Settings
from appliance.ground.text import human_count, human_size
from appliance.models.approval import why_not_approved
from appliance.models.manifest import verify_artifact
from appliance.models.store import InstalledModel, Store
from appliance.routing.egress_log import egress_dir
from appliance.routing.egress_reading import verify
from appliance.routing.egress_state import policy_state
from appliance.routing.policy import SYSTEM_DIR

_LEAST_FREE_BYTES = 200_000_000
_LITTLE_FREE_BYTES = 2_000_000_000
_LITTLE_FREE_FILES = 10_000
_NETWORK_KINDS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "glusterfs"})
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_SHOWN = 3


def check_home(home: Path) -> Check:
    """Owner and rights of the home folder and what lies in it, and whether it can be written."""
    try:
        facts = home.stat()
    except FileNotFoundError:
        return ok("home", f"{home} is not there yet; the first command that needs it makes it")
    except OSError as error:
        return Check(
            "home", CheckState.FAIL, f"{home}: {error.strerror}", f"set {HOME_VARIABLE} to a folder of your own"
        )
    if not stat.S_ISDIR(facts.st_mode):
        return Check("home", CheckState.FAIL, f"{home} is not a folder", f"set {HOME_VARIABLE} to a folder of your own")
    if facts.st_uid != os.geteuid():
        message = f"{home} belongs to user {facts.st_uid}, this is user {os.geteuid()}"
        return Check("home", CheckState.FAIL, message, f"run as that user, or set {HOME_VARIABLE}")
    if problem := _write_problem(home):
        return Check("home", CheckState.FAIL, f"{home} cannot be written: {problem}", "check the disk and its mount")
    if facts.st_mode & _OTHERS:
        mode = stat.S_IMODE(facts.st_mode)
        return Check("home", CheckState.FAIL, f"others can enter {home} (mode {mode:04o})", f"chmod 700 {home}")
    foreign = _foreign(home)
    if foreign:
        owned = "belongs to another user" if len(foreign) == 1 else "belong to other users"
        message = f"{human_count(len(foreign), 'file')} in {home} {owned}: {', '.join(foreign[:_SHOWN])}"
        return Check("home", CheckState.WARN, message, f"chown -R {os.geteuid()} {home}")
    if os.geteuid() == 0:
        return Check("home", CheckState.WARN, f"{home}, used by root", "run Stillroom as a user of its own")
    return ok("home", f"{home}, only its owner can enter it")


def _write_problem(home: Path) -> str:
    try:
        with tempfile.NamedTemporaryFile(dir=home, prefix=".doctor-"):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _foreign(home: Path) -> list[str]:
    """Names right below the home folder and one further down that belong to somebody else."""
    names = []
    for path in [*home.glob("*"), *home.glob("*/*")]:
        try:
            if path.lstat().st_uid != os.geteuid():
                names.append(str(path.relative_to(home)))
        except OSError:
            continue
    return sorted(names)


def check_disk(home: Path) -> Check:
    """Room for files, and whether the ledger's locks hold on this file system."""
    place = next(path for path in (home, *home.parents) if os.path.exists(path))
    facts = os.statvfs(place)
    free_bytes = facts.f_bavail * facts.f_frsize
    kind = file_system(place, Path("/proc/self/mountinfo"))
    message = f"{human_size(free_bytes)} free for {home} ({kind or 'unknown file system'})"
    if facts.f_flag & os.ST_RDONLY:
        return Check(
            "disk", CheckState.FAIL, f"{place} is mounted read-only", f"mount it writable or set {HOME_VARIABLE}"
        )
    if kind in _NETWORK_KINDS or kind.startswith("fuse."):
        advice = f"set {HOME_VARIABLE} to a local disk: a database over a network can break when two programs use it"
        return Check("disk", CheckState.WARN, message, advice)
    if free_bytes < _LEAST_FREE_BYTES:
        return Check("disk", CheckState.FAIL, message, "remove models or jobs that are not used, or add space")
    if free_bytes < _LITTLE_FREE_BYTES:
        return Check("disk", CheckState.WARN, message, "a larger job or another model will not fit; free some space")
    if facts.f_files and facts.f_favail < _LITTLE_FREE_FILES:
        return Check(
            "disk",
            CheckState.WARN,
            f"{message}, room for {facts.f_favail} more files",
            "delete files that are not used",
        )
    return ok("disk", message)


def file_system(place: Path, mounts_path: Path) -> str:
    """The kind of file system that holds the path; empty if it is not known."""
    try:
        lines = mounts_path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    resolved = place.resolve()
    best, kind = -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        mount = Path(before.split()[4].encode().decode("unicode_escape"))
        # Of mounts over each other the latest holds.
        if (mount == resolved or mount in resolved.parents) and len(mount.parts) >= best:
            best, kind = len(mount.parts), after.split()[0]
    return kind


def check_models(settings: Settings, quick: bool) -> Check:
    """Whether every installed model is intact, and which of them answer."""
    store = Store(settings)
    try:
        models, broken = store.list(), list(store.broken())
    except ApplianceError as error:
        return Check("models", CheckState.FAIL, error.message, error.hint or "add the models again")
    if not models and not broken and not store.problems_of_active():
        return Check("models", CheckState.WARN, "no model is installed", "add one with `stillroom models add DIR`")
    problems = [f"{name}: its manifest cannot be used: {store.problem_of(name)}" for name in broken]
    problems += [problem for model in models if (problem := _model_problem(model, quick))]
    if not problems and (problems_of_active := store.problems_of_active()):
        advice = "activate the model that should answer with `stillroom models activate`, or add the former one again"
        return Check("models", CheckState.FAIL, "; ".join(problems_of_active), advice)
    if problems:
        message = f"{len(problems)} of {human_count(len(models) + len(broken), 'model')} damaged: {'; '.join(problems)}"
        return Check("models", CheckState.FAIL, message, "add these models again with `stillroom models add`")
    active = [model for model in models if model.active]
    snapshot = "every file is there with its size" if quick else "every file has its SHA-256"
    message = f"{human_count(len(models), 'model')}, {snapshot}; {len(active)} active"
    reasons = {model.name: reason for model in active if (reason := why_not_approved(model.manifest))}
    if reasons:
        unsafe = ", ".join(f"{name} ({reason})" for name, reason in reasons.items())
        return Check(
            "models", CheckState.WARN, f"{message}; active but not approved: {unsafe}",
            "judge each with `stillroom gate`, or activate another with `stillroom models activate`",
        )  # fmt: skip
    if not active:
        return Check("models", CheckState.WARN, message, "choose one with `stillroom models activate MODEL`")
    return ok("models", message)


def _model_problem(model: InstalledModel, quick: bool) -> str:
    try:
        if not quick:
            verify_artifact(model.directory)
            return ""
        for name, entry in model.manifest.files.items():
            size_bytes = (model.directory / name).stat().st_size
            if size_bytes != entry.size_bytes:
                return f"{model.name}: {name} has {size_bytes} bytes, its manifest says {entry.size_bytes}"
    except ApplianceError as error:
        return error.message
    except OSError as error:
        return f"{model.name}: {error.strerror}"
    return ""


def check_egress(settings: Settings, system_dir: Path = SYSTEM_DIR) -> Check:
    """The finding for the state of egress: open is a decision, not a fault; a broken policy is one."""
    policy = policy_state(settings, system_dir)
    if policy.kind == "broken":
        return Check("egress", CheckState.FAIL, policy.reason, policy.hint or "correct the policy, or remove it")
    state = policy.reason
    if policy.kind == "on" and policy.policy is not None:
        classes, hosts = ", ".join(policy.policy.data_classes), ", ".join(policy.policy.hosts)
        state = f"{policy.policy.path} lets data of class {classes} leave to {hosts}"
    record = verify(egress_dir(settings))
    if not record.good:
        damage = record.broken or "kept requests were changed or removed"
        return Check(
            "egress", CheckState.FAIL, f"{state}; the record of what left is damaged: {damage}",
            "`stillroom egress verify` shows where; ask who changed it",
        )  # fmt: skip
    sent = f"; {human_count(record.requests, 'request')} on record" if record.requests else ""
    return ok("egress", f"{state}{sent}")
