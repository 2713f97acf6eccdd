"""Walking hostile folders, and reading in a child that may die."""

import os
import signal
from pathlib import Path

import pytest

from appliance.documents.folder import walk
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sandbox import Reader, ReaderLimits, read_file
from appliance.errors import UsageError

HOSTILE_NAMES = [
    b"a[",
    b"\x1b[2Jclear.txt",
    b"line\nbreak.txt",
    b"not-utf8-\xff\xfe.txt",
    b"= formula.txt",
    "ż ó.txt".encode(),
]


def test_walk_is_in_byte_order_of_paths_and_keeps_hostile_names(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    for name in HOSTILE_NAMES[1:]:
        Path(os.fsdecode(os.path.join(root, name))).write_text("x")
    for folder, name in ((b"a[", b"b].txt"), (b"a", b"z.txt"), (b"a.b", b"c.txt")):
        os.mkdir(os.path.join(root, folder))
        Path(os.fsdecode(os.path.join(root, folder, name))).write_text("x")
    paths = [found.path for found in walk(tmp_path)]
    assert paths == sorted(paths)
    assert set(paths) == {*HOSTILE_NAMES[1:], b"a[/b].txt", b"a/z.txt", b"a.b/c.txt"}


def test_walk_leaves_out_links_hidden_files_and_pipes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "link.txt").symlink_to("/etc/hostname")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert [found.name for found in walk(tmp_path)] == ["a.txt"]


def test_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder of documents"):
        list(walk(tmp_path / "nowhere"))


def test_child_reads_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    reply = read_file(tmp_path, b"a.txt")
    assert (reply.text, reply.problem) == ("hello\n", None)
    assert reply.sha256 == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


def test_link_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(DocumentError, match="cannot be opened"):
        read_file(tmp_path, b"link")


def test_killed_child_is_one_failed_document_and_the_next_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    reader = Reader(ReaderLimits())
    reader.start(tmp_path, b"a.txt")
    assert reader.connection is not None
    reader.connection.poll(30)
    reader.finish()
    assert reader._child is not None
    os.kill(reader._child.process.pid, signal.SIGSTOP)
    reader.start(tmp_path, b"a.txt")
    os.kill(reader._child.process.pid, signal.SIGKILL)
    reader.connection.poll(30)
    reply = reader.finish()
    assert reply.problem is Problem.READER_DIED
    assert "SIGKILL" in reply.message
    reader.start(tmp_path, b"a.txt")
    assert reader.connection is not None
    reader.connection.poll(30)
    assert reader.finish().text == "hello\n"
    reader.close()


def test_overdue_document_is_a_timeout(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    reply = read_file(tmp_path, b"a.txt", ReaderLimits(timeout_seconds=0.0))
    assert reply.problem is Problem.TIMEOUT


def test_child_has_no_more_memory_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_bytes(b"word \n" * (8 << 20))
    reply = read_file(tmp_path, b"big.txt", ReaderLimits(memory_bytes=100 << 20))
    assert reply.problem is Problem.TOO_LARGE
