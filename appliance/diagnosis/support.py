"""What a support bundle holds: what the program is and how it went, and nothing of documents, names or places.

Everything in it was chosen: values are numbers, hashes, states and words that this program itself defines. Names that
people gave (of jobs, models, tasks, fields, files, folders, hosts) are left out.
"""

import importlib.metadata
import io
import os
import platform
import re
import shutil
import sqlite3
import sys
import tarfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

from appliance.diagnosis.check import Check
from appliance.diagnosis.examination import examine
from appliance.diagnosis.redaction import redacted_detail, redacted_log
from appliance.diagnosis.state import file_system
from appliance.engines.frontier_config import frontier_names
from appliance.ground.errors import ApplianceError, ResourceError, UsageError
from appliance.ground.files import new_file
from appliance.ground.json_text import json_text
from appliance.ground.processor import cpu_flags
from appliance.ground.settings import Settings, home_dir, load_settings
from appliance.jobs.job import JobConfig, job_dirs, read_config
from appliance.jobs.ledger import JobSummary, connect, open_readonly
from appliance.models.approval import is_approved
from appliance.models.store import InstalledModel, Store
from appliance.routing.egress_state import policy_state

LEFT_OUT = "[left out]"
BUNDLE_NAME = "stillroom-support"
_MOST_JOBS = 200
_MOST_EVENTS = 200
_MOST_LOG_LINES = 5000
_SHOWN_CONFIG = frozenset(
    "task_hash model unsafe keep_text output_format limit workers settle_seconds shard version".split()
)
_SHOWN_FALLBACK = frozenset("threshold model policy cap_documents cap_tokens cap_money".split())
_SHOWN_CHECKS = frozenset("interpreter libraries sqlite processor gpu memory sandbox".split())
"""Checks whose findings name nothing that a person chose, but for paths."""
_PATH = re.compile(r"'/[^']*'|\"/[^\"]*\"|(?<![\w.])/[^\s,;:()]+")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ABOUT = """\
Support bundle of Stillroom, made by `stillroom support-bundle`.

It holds versions, the findings of `stillroom doctor`, counters and states of jobs and models, and the log with all
messages left out. It holds no text of documents and no names of documents, folders, tasks, models, users or hosts.
Look through the files before you pass them on: they are all plain text.
"""


def settings_to_describe(environ: dict[str, str]) -> Settings:
    """The settings, or the defaults where they cannot be read: a bundle is wanted most where something is broken."""
    try:
        return load_settings(environ)
    except ApplianceError:
        home = home_dir(environ)
        threads = len(os.sched_getaffinity(0))
        return Settings(home, home / "models", home / "bases", home / "jobs", home / "stillroom.log", threads)


def collect(settings: Settings) -> dict[str, bytes]:
    """The files of a bundle, by name; a part that cannot be had says with which class of error."""
    facts: dict[str, Callable[[], object]] = {
        "doctor.json": lambda: [_check(check) for check in examine(quick=True)],
        "machine.json": lambda: _machine(settings),
        "versions.json": lambda: {str(found.name): found.version for found in importlib.metadata.distributions()},
        "configuration.json": lambda: _configuration(settings),
        "models.json": lambda: _models(settings),
    }
    files = {"README.txt": _ABOUT.encode()}
    for name, collect_one in facts.items():
        files[name] = json_text(_tried(collect_one), indent=2, sort_keys=True, ascii_only=True).encode() + b"\n"
    jobs = _tried(lambda: [_tried(partial(_job, path)) for path in _latest(job_dirs(settings))])
    lines = jobs if isinstance(jobs, list) else [jobs]
    files["jobs.jsonl"] = "".join(f"{json_text(job, sort_keys=True, ascii_only=True)}\n" for job in lines).encode()
    files["log.txt"] = "".join(f"{line}\n" for line in redacted_log(_log_lines(settings.log_path))).encode()
    return files


def _tried(collect_one: Callable[[], object]) -> object:
    try:
        return collect_one()
    except Exception as error:  # This is for machines on which anything may be wrong.
        return {"error": type(error).__name__}


def write_bundle(path: Path, files: dict[str, bytes]) -> None:
    """Writes the files as one archive that only its owner can read; it appears whole, and replaces nothing.

    Raises:
        UsageError: There is a file of this name.
        ResourceError: The archive cannot be written.
    """
    try:
        with new_file(path, private=True) as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, data in files.items():
                entry = tarfile.TarInfo(f"{BUNDLE_NAME}/{name}")
                entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
                archive.addfile(entry, io.BytesIO(data))
    except FileExistsError as error:
        raise UsageError(f"{path} already exists", "name another file with `--out`") from error
    except OSError as error:
        raise ResourceError(
            f"cannot write {path}: {error.strerror or error}", "choose another place with `--out`"
        ) from error


def _check(check: Check) -> dict[str, str]:
    harmless = check.name in _SHOWN_CHECKS
    return {"name": check.name, "state": check.state, "message": without_paths(check.message) if harmless else LEFT_OUT}


def without_paths(text: str) -> str:
    """The text with every absolute path left out, also those of this program that have blanks in them."""
    for path in sorted({sys.executable, sys.prefix, sys.base_prefix, os.path.expanduser("~")}, key=len, reverse=True):
        if len(path) > 1:
            text = text.replace(path, "/known")
    return _PATH.sub("[path]", text)


def _machine(settings: Settings) -> dict[str, object]:
    return {
        "system": platform.system(), "kernel": platform.release(), "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()), "python": platform.python_version(),
        "processors": os.cpu_count(), "usable_processors": len(os.sched_getaffinity(0)),
        "processor_flags": " ".join(sorted(cpu_flags())),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "disk_free_bytes": _tried(lambda: shutil.disk_usage(settings.home_dir).free),
        "file_system": _tried(lambda: file_system(settings.home_dir, Path("/proc/self/mountinfo"))),
        "root": os.geteuid() == 0,
    }  # fmt: skip


def _configuration(settings: Settings) -> dict[str, object]:
    try:
        frontiers: int | None = len(frontier_names(settings))
    except ApplianceError:
        frontiers = None
    return {
        "threads": settings.threads, "sandbox": settings.sandbox, "frontiers": frontiers,
        "egress": policy_state(settings).kind,
    }  # fmt: skip


def _models(settings: Settings) -> dict[str, object]:
    store = Store(settings)
    try:
        return {"models": [_model(model) for model in store.list()], "broken": len(store.broken())}
    except ApplianceError as error:
        return {"error": type(error).__name__}


def _model(model: InstalledModel) -> dict[str, object]:
    manifest = model.manifest
    verdict = asdict(manifest.verdict) if manifest.verdict else {}
    return {
        "identity": _hex(manifest.identity), "family": _word(manifest.family), "format": _word(manifest.format),
        "quantization": _word(manifest.quantization.lower()), "size_bytes": manifest.size_bytes,
        "task_hash": _hex(manifest.task_hash), "active": model.active, "ready": is_approved(manifest),
        "verdict": {key: value for key, value in verdict.items() if isinstance(value, int | float)},
    }  # fmt: skip


def _latest(directories: list[Path]) -> list[Path]:
    def changed(directory: Path) -> float:
        try:
            return directory.stat().st_mtime
        except OSError:
            return 0.0

    return sorted(directories, key=changed, reverse=True)[:_MOST_JOBS]


def _job(directory: Path) -> dict[str, object]:
    # The id begins with the task's name; what follows is a hash.
    facts: dict[str, object] = {"job": _hex(directory.name.rpartition("-")[2]) or LEFT_OUT}
    try:
        facts["config"] = _job_config(read_config(directory))
    except ApplianceError as error:
        facts["config_error"] = type(error).__name__
    try:
        with open_readonly(directory) as reader:
            facts |= _counters(reader.summary())
            facts["events"] = [
                [round(when, 3), _word(kind), redacted_detail(detail)]
                for when, kind, detail in reader.events(_MOST_EVENTS)
            ]
        facts["documents"] = _documents(directory)
    except (ApplianceError, sqlite3.Error) as error:
        facts["ledger_error"] = type(error).__name__
    return facts


def _job_config(config: JobConfig) -> dict[str, object]:
    values: dict[str, object] = {
        option.name: _setting(getattr(config, option.name)) if option.name in _SHOWN_CONFIG else LEFT_OUT
        for option in fields(JobConfig)
    }
    fallback = config.fallback
    values["fallback"] = {name: _setting(getattr(fallback, name)) for name in _SHOWN_FALLBACK} if fallback else None
    return values


def _setting(value: object) -> object:
    """A number, a hash, a word of this program's or a shard; of a file that somebody changed it may be anything."""
    if not isinstance(value, str):
        return value
    return value if re.fullmatch(r"[0-9a-f]{8,64}|[1-9][0-9]*/[1-9][0-9]*", value) else _word(value)


def _counters(summary: JobSummary) -> dict[str, object]:
    values = asdict(summary)
    counters = {key: value for key, value in values.items() if isinstance(value, int | float) or value is None}
    return {**counters, "state": summary.state, "message": redacted_detail(summary.message)}


def _documents(directory: Path) -> dict[str, int]:
    """How many documents ended how: state and class of the error."""
    connection = connect(directory, "mode=ro")
    try:
        counts = connection.execute(
            "SELECT documents.state, rows.error, COUNT(*) FROM documents LEFT JOIN rows"
            " ON rows.document = documents.id AND rows.superseded = 0 GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
    finally:
        connection.close()
    return {" ".join(filter(None, (_word(state), _word(error or "")))): count for state, error, count in counts}


def _log_lines(path: Path) -> deque[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return deque(file, _MOST_LOG_LINES)
    except OSError:
        return deque()


def _word(text: str) -> str:
    """A word of this program's own; anything else is left out."""
    return text if _WORD.fullmatch(text) or not text else LEFT_OUT


def _hex(text: str) -> str:
    return text if re.fullmatch(r"[0-9a-f]{8,64}", text) else ""
