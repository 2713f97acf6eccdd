"""The reader process itself: parsers that die before they are confined, and those that have worked for long."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.documents.syscalls import this_machine
from tests.appliance.documents.reader_bench import PATIENT

pytestmark = pytest.mark.skipif(this_machine() is None, reason="the system calls of this machine are not known")

SERVE = """
import json, os, signal, sys
sys.path[:] = json.loads(sys.argv[1])
from appliance.documents import reader_process
from appliance.documents.confinement import ParserLimits
from appliance.ground.settings import SandboxPolicy


class Parser(reader_process._Parser):
    left_to_kill = {crash_count}
    pids = []

    def __init__(self, setting):
        super().__init__(setting)
        Parser.pids.append(self._pid)
        if Parser.left_to_kill:
            Parser.left_to_kill -= 1
            # Nothing was asked of it yet, so it cannot have answered.
            os.kill(self._pid, signal.SIGKILL)


reader_process._Parser = Parser
document = os.open({document!r}, os.O_RDONLY)
readers = reader_process._Readers(ParserLimits(), SandboxPolicy("{policy}"), 10)


def read():
    return bytes(readers.read(document).answer).partition(b"\\0")[2].decode()
"""
"""The reader process without its supervisor; the first parsers that it forks are killed at once."""


def served(
    tmp_path: Path, source: str, crash_count: int = 0, policy: str = "required", data: bytes = b"Total 42"
) -> object:
    """The JSON value that the source printed."""
    document = tmp_path / "document"
    document.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", SERVE.format(crash_count=crash_count, document=str(document), policy=policy) + source,
         json.dumps(sys.path)],
        capture_output=True, text=True, check=False, timeout=PATIENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_parsers_killed_before_they_say_how_they_are_confined_refuse_no_document(tmp_path: Path) -> None:
    source = "refusal = readers.refusal()\nprint(json.dumps([refusal, len(Parser.pids), read()]))"
    assert served(tmp_path, source, crash_count=2) == ["", 3, "Total 42"]


def test_parsers_that_always_die_unconfined_refuse_all_documents_and_are_not_tried_for_ever(tmp_path: Path) -> None:
    source = "print(json.dumps([readers.refusal(), len(Parser.pids)]))"
    assert served(tmp_path, source, crash_count=100) == ["no parser could be confined", 3]


def test_best_effort_asks_no_parser_how_it_is_confined(tmp_path: Path) -> None:
    source = "print(json.dumps([readers.refusal(), len(Parser.pids)]))"
    assert served(tmp_path, source, policy="best-effort") == ["", 0]


def test_shared_parser_that_has_worked_as_long_as_a_document_may_take_is_replaced(tmp_path: Path) -> None:
    source = """
kept = [(read(), readers._shared is not None) for _ in range(2)]
readers._shared.worked_seconds += readers._setting.limits.timeout_seconds
kept += [(read(), readers._shared is not None) for _ in range(2)]
print(json.dumps([kept, len(set(Parser.pids))]))
"""
    read, not_kept = ["Total 42", True], ["Total 42", False]
    assert served(tmp_path, source) == [[read, read, not_kept, read], 2]


def test_recognition_that_cannot_be_loaded_costs_scans_only(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    # Half an installation, as without a library of the system.
    source = """
sys.modules["cv2"] = None
found = [readers.read(document) for _ in range(2)]
print(json.dumps([[one.problem, one.message] for one in found]))
"""
    found = served(tmp_path, source, data=b"\x89PNG\r\n\x1a\n....")
    assert isinstance(found, list)
    assert [problem for problem, _ in found] == ["unsupported"] * 2
    assert all("text recognition is installed but cannot be loaded: " in message for _, message in found)
