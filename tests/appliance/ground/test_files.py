"""Files that appear whole: rights, links, names that are taken, what a killed writer left, libraries that write."""

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.ground import files
from appliance.ground.errors import ResourceError
from appliance.ground.files import (
    disk_errors,
    fresh_directory,
    new_file,
    part_for_library,
    part_of,
    part_path,
    write_file,
)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write_and_fail(path: Path) -> None:
    path.write_bytes(b"half")
    raise RuntimeError


def test_private_file_is_the_owners_even_where_a_public_part_was_left(tmp_path: Path) -> None:
    path = tmp_path / "key"
    part_path(path).write_text("left by a killed writer")
    part_path(path).chmod(0o666)
    write_file(path, b"secret", private=True)
    assert path.read_bytes() == b"secret"
    assert mode_of(path) == 0o600


def test_failed_write_leaves_the_former_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"former")
    with pytest.raises(TypeError), part_of(path) as file:
        file.write("no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"former"
    assert os.listdir(tmp_path) == ["rows"]


def test_link_at_the_part_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    part_path(tmp_path / "rows").symlink_to(other)
    with pytest.raises(ResourceError, match="cannot write"):
        write_file(tmp_path / "rows", b"ours")
    assert other.read_bytes() == b"theirs"


@pytest.mark.parametrize("kind", ["pipe", "pipe that is read", "folder", "dangling link", "hard link", "socket"])
@pytest.mark.parametrize("write", [write_file, lambda path, data: write_new(path, data)], ids=["file", "new-file"])
def test_part_that_is_taken_is_refused_at_once(tmp_path: Path, kind: str, write: Callable[[Path, bytes], None]) -> None:
    part, other = part_path(tmp_path / "rows"), tmp_path / "other"
    other.write_bytes(b"theirs")
    reader = -1
    if kind.startswith("pipe"):
        os.mkfifo(part)
        reader = os.open(part, os.O_RDONLY | os.O_NONBLOCK) if kind != "pipe" else -1
    elif kind == "folder":
        part.mkdir()
    elif kind == "dangling link":
        part.symlink_to(tmp_path / "nowhere")
    elif kind == "hard link":
        os.link(other, part)
    else:
        os.mknod(part, stat.S_IFSOCK | 0o600)
    with pytest.raises(ResourceError, match=r"the name of the temporary file \.rows\.part is taken"):
        write(tmp_path / "rows", b"ours")
    assert (other.read_bytes(), sorted(os.listdir(tmp_path))) == (b"theirs", [".rows.part", "other"])
    if reader >= 0:
        os.close(reader)


def write_new(path: Path, data: bytes) -> None:
    with disk_errors(path), new_file(path) as file:
        file.write(data)


def test_part_that_somebody_keeps_locked_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_LONGEST_TURN_SECONDS", 0.0)
    with part_path(tmp_path / "rows").open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(ResourceError, match=r"another program keeps \.rows\.part"):
            write_file(tmp_path / "rows", b"ours")


@pytest.mark.parametrize("kind", ["pipe", "file", "folder", "link"])
def test_library_never_writes_to_what_lies_at_the_part(tmp_path: Path, kind: str) -> None:
    path, part, other = tmp_path / "weights", part_path(tmp_path / "weights"), tmp_path / "other"
    other.mkdir()
    {
        "pipe": lambda: os.mkfifo(part),
        "file": lambda: part.write_text("half"),
        "folder": part.mkdir,
        "link": lambda: part.symlink_to(other),
    }[kind]()
    with part_for_library(path) as beside:
        beside.write_bytes(b"whole")
    assert (path.read_bytes(), os.listdir(other)) == (b"whole", [])
    assert sorted(os.listdir(tmp_path)) == ["other", "weights"]


def test_fresh_folder_takes_the_name_of_a_link_and_leaves_what_it_named(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("theirs")
    (tmp_path / "work").symlink_to("other")
    fresh_directory(tmp_path / "work")
    assert not (tmp_path / "work").is_symlink()
    assert (tmp_path / "other" / "file").read_text() == "theirs"


def test_new_file_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(b"first")
    with pytest.raises(FileExistsError), new_file(path) as file:
        file.write(b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["bundle"]


def test_library_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    with pytest.raises(RuntimeError), part_for_library(path) as beside:
        write_and_fail(beside)
    assert os.listdir(tmp_path) == []
    with part_for_library(path) as beside:
        beside.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["weights"]


def test_second_name_that_a_killed_writer_left_goes(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"former")
    os.link(path, part_path(path))
    write_file(path, b"next")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"next", ["key"])
