"""Changes the folder of documents while a job works: times, rights, files that go, folders exchanged for links."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.jobs.control import retry_failed
from appliance.jobs.job import job_dirs
from tests.appliance.batch_fixtures import Bench
from tests.soak.soundness import Undisturbed, assert_sound, rows_of, run_here, write_documents

Row = dict[str, object]

SECRET = "TOPSECRET"
AS_A_USER = (
    "import ctypes, os, sys\n"
    "for capability in (1, 2):\n"  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH; a user other than root has neither.
    "    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)\n"
    "os.execv(sys.executable, [sys.executable, '-c', 'import sys; from appliance.cli import main; sys.exit(main())',"
    " *sys.argv[1:]])\n"
)
"""Starts the command line without root's right to read what the modes forbid."""
_BEYOND_NS = (1 << 63, 10_500_000_000_000_000_000, -(1 << 62), 0)
_PAUSE_SECONDS = 0.02
_RUN_SECONDS = 600.0


@dataclass(frozen=True)
class FolderCampaign:
    """How many jobs of how many documents, and how often their folder changes."""

    documents: int
    jobs: int
    faults_per_job: int
    seed: int


class _Disturbance:
    """One folder that changes, and what makes it whole again."""

    def __init__(self, bench: Bench, chance: random.Random) -> None:
        self._folder, self._chance = bench.documents_dir, chance
        self._outside = bench.root / "outside"
        shutil.copytree(self._folder, self._outside)
        for path in self._outside.rglob("*.*"):
            path.write_text(f"number: {SECRET}\ntotal: 1.00\n")
        self._mends: list[Callable[[], object]] = []

    def change(self) -> str:
        """Does one thing to one file or folder; says what, empty where it could not be done."""
        kinds: dict[str, Callable[[], None]] = {
            "mtime": self._time, "file rights": self._file_rights, "folder rights": self._folder_rights,
            "vanishing": self._vanish, "renaming": self._rename, "folder swap": self._swap,
        }  # fmt: skip
        kind = self._chance.choice(sorted(kinds))
        try:
            kinds[kind]()
            return kind
        except (OSError, IndexError):
            return ""

    def mend(self) -> None:
        """Brings every file back with its name, its bytes and its rights, the latest change first."""
        while self._mends:
            self._mends.pop()()

    def _file(self) -> Path:
        return self._chance.choice(sorted(path for path in self._folder.glob("[0-9]*/*") if not path.is_symlink()))

    def _subfolder(self) -> Path:
        return self._chance.choice(sorted(path for path in self._folder.glob("[0-9]*") if not path.is_symlink()))

    def _time(self) -> None:
        path = self._file()
        os.utime(path, ns=(0, self._chance.choice(_BEYOND_NS)))
        self._mends.append(lambda: os.utime(path))

    def _file_rights(self) -> None:
        path = self._file()
        path.chmod(0)
        self._mends.append(lambda: path.chmod(0o600))

    def _folder_rights(self) -> None:
        path = self._subfolder()
        path.chmod(self._chance.choice((0, 0o444, 0o111)))
        self._mends.append(lambda: path.chmod(0o700))

    def _vanish(self) -> None:
        path = self._file()
        data = path.read_bytes()
        path.unlink()
        self._mends.append(lambda: path.write_bytes(data))

    def _rename(self) -> None:
        path = self._file()
        other = path.with_name("renamed " + path.name)
        path.rename(other)
        self._mends.append(lambda: other.rename(path))

    def _swap(self) -> None:
        path = self._subfolder()
        hidden = path.with_name("." + path.name)
        path.rename(hidden)
        path.symlink_to(self._outside / path.name)

        def back() -> None:
            path.unlink()
            hidden.rename(path)

        self._mends.append(back)


def run_folder_campaign(campaign: FolderCampaign, root: Path, expected: Undisturbed) -> Counter[str]:
    """Runs jobs whose folder changes under them; every one is checked, mended and checked again.

    Returns:
        How many changes of each kind there were.
    """
    chance = random.Random(campaign.seed)
    changes: Counter[str] = Counter()
    for number in range(campaign.jobs):
        bench = Bench(root / f"folder-{number}")
        write_documents(bench, campaign.documents)
        disturbance = _Disturbance(bench, chance)
        before = sum(changes.values())
        while sum(changes.values()) - before < campaign.faults_per_job:
            _run_disturbed(bench, disturbance, chance, changes, before + campaign.faults_per_job)
        disturbance.mend()
        (job_dir,) = job_dirs(bench.settings)
        retry_failed(bench.settings, job_dir.name)
        run_here(bench)
        # Files that were still changing when they were listed wait for one run more.
        outcome = run_here(bench)
        assert outcome.summary.waiting == 0, outcome.summary
        assert outcome.summary.total == campaign.documents + outcome.summary.missing, outcome.summary
        assert_sound(bench)
        whole, never_seen = _parted(_parsed(rows_of(bench)), _parsed(expected.rows))
        assert whole == _parsed(expected.rows)
        assert [row["error"] for row in never_seen] == ["unreadable"] * outcome.summary.missing, never_seen
        shutil.rmtree(bench.root)
    return changes


def _run_disturbed(
    bench: Bench, disturbance: _Disturbance, chance: random.Random, changes: Counter[str], most: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", AS_A_USER, *bench.run_arguments("--workers", "1")],
        env=bench.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    ends = time.monotonic() + chance.uniform(0.2, 2.0)
    while process.poll() is None and time.monotonic() < ends and sum(changes.values()) < most:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_PAUSE_SECONDS)
        if kind := disturbance.change():
            changes[kind] += 1
    _, stderr = process.communicate(timeout=_RUN_SECONDS)
    assert process.returncode in (0, 3), f"exit code {process.returncode}: {stderr}"
    assert "Traceback" not in stderr, stderr
    assert_sound(bench)
    assert SECRET.encode() not in rows_of(bench), "a document outside the folder was read"


def _parted(rows: list[Row], expected: list[Row]) -> tuple[list[Row], list[Row]]:
    """The rows of the folder's documents, and those of new names that a run saw only while nobody could read them.

    Without size, time and bytes such a name says nothing of which document it was before.
    """
    documents = {row["document"] for row in expected}
    never_seen = [row for row in rows if row["document"] not in documents]
    assert all("renamed " in str(row["document"]) for row in never_seen), never_seen
    return [row for row in rows if row["document"] in documents], never_seen


def _parsed(rows: bytes) -> list[Row]:
    """The rows; whether a run saw a name that was changed and changed back depends on the moment."""
    parsed = (json.loads(line) for line in rows.split(b"\n") if line)
    return [{**row, "former_document": None} for row in parsed]
