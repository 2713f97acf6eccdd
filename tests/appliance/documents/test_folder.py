"""Walking hostile folders."""

import os
import subprocess
from pathlib import Path

import pytest

from appliance.documents.folder import walk
from appliance.ground.errors import UsageError

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


def test_folder_deeper_than_the_interpreter_recurses_is_walked_to_its_end(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(os.open("a.txt", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)
        here = below
    os.close(here)
    found = list(walk(tmp_path))
    # Python's own removal of a folder recurses.
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)
    assert [len(document.path) for document in found] == [5 + 2 * depth for depth in range(1100)]
