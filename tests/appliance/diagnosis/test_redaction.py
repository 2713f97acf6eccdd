"""What of a log may leave the house: forms that are known, never the words in them."""

import sqlite3
import sys
import traceback
from pathlib import Path

import pytest

from appliance.diagnosis.redaction import redacted_detail, redacted_log
from appliance.diagnosis.support import without_paths
from appliance.ground.child import ChildDied
from appliance.models.manifest import read_manifest

SECRET = "Mrs Edelgard Quux, born 12 May 1961"


def logged(error: BaseException) -> list[str]:
    return "".join(traceback.format_exception(error)).splitlines()


def raised(path: Path) -> BaseException:
    try:
        read_manifest(path)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_traceback_keeps_places_in_the_program_and_loses_its_message(tmp_path: Path) -> None:
    path = tmp_path / SECRET
    path.mkdir()
    (path / "manifest.json").write_text("{")
    kept = redacted_log(logged(raised(path)))
    text = "\n".join(kept)
    assert "Quux" not in text
    assert str(tmp_path) not in text
    assert kept[0] == "Traceback (most recent call last):"
    assert any(line.startswith('  File "appliance/models/manifest.py", line ') for line in kept)
    assert any(line.startswith('  File "json/decoder.py", line ') for line in kept)
    assert any(line.startswith("json.decoder.JSONDecodeError: [") for line in kept)
    assert any(line.startswith("appliance.models.manifest.ArtifactError: [") for line in kept)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device", f"/data/{SECRET}"), "OSError: [Errno 28] [{} characters left out]"),
        (sqlite3.OperationalError("disk I/O error"), "sqlite3.OperationalError: disk I/O error"),
        (ValueError(SECRET), "ValueError: [{} characters left out]"),
        (MemoryError(), "MemoryError"),
    ],
    ids=["disk", "known-message", "text", "no-message"],
)
def test_error_keeps_its_kind_and_number(error: Exception, expected: str) -> None:
    assert redacted_log(logged(error)) == [expected.format(len(str(error)))]


@pytest.mark.parametrize(
    "line",
    [
        SECRET, f"    {SECRET}", f"Diagnosis: {SECRET}", f"QuuxError: {SECRET}", f"edelgard.QuuxError: {SECRET}",
        f'  File "/home/edelgard/{SECRET}.py", line 3, in quux', '  File "json/decoder.py", line 3, in edelgard_quux',
        "ValueError", "\x1b[2Jedelgard", f"Traceback (most recent call last): {SECRET}",
    ],
    ids=range(10),
)  # fmt: skip
def test_line_that_only_looks_known_is_left_out(line: str) -> None:
    kept = redacted_log(["KeyError: 1", line, line])
    assert kept[0] == "KeyError: [1 characters left out]"
    assert kept[1:] in (["[2 lines left out]"], ["ValueError", "ValueError"])


def test_function_that_is_not_in_the_file_is_left_out() -> None:
    place = Path(sqlite3.__file__).with_name("dbapi2.py")
    assert redacted_log([f'  File "{place}", line 3, in edelgard']) == ["[1 lines left out]"]
    assert redacted_log([f'  File "{place}", line 3, in <module>']) == [
        '  File "sqlite3/dbapi2.py", line 3, in <module>'
    ]


def test_detail_of_an_event_keeps_signals_only() -> None:
    assert redacted_detail(f"reader: the parser of {SECRET} was killed by SIGSEGV") == "SIGSEGV"
    assert redacted_detail(ChildDied(1).reason()) == "exit status 1"
    assert redacted_detail(SECRET) == ""


def test_paths_with_blanks_of_this_program_and_quoted_ones_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/home/Jane Doe/venv/bin/python")
    monkeypatch.setenv("HOME", "/home/Jane Doe")
    text = "Python 3.11 (/home/Jane Doe/venv/bin/python); PermissionError: '/media/Jane Doe/x'; /home/Jane Doe/y, 2/3"
    assert without_paths(text) == "Python 3.11 ([path]); PermissionError: [path]; [path], 2/3"
