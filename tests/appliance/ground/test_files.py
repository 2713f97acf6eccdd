"""Files that appear whole: rights, links, names that are taken, what a killed writer left, libraries that write."""

import os
import stat
from pathlib import Path

import pytest

from appliance.ground.errors import ResourceError
from appliance.ground.files import new_file, part_for_library, part_of, part_path, write_file


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


def test_pipe_at_the_part_is_refused(tmp_path: Path) -> None:
    os.mkfifo(part_path(tmp_path / "rows"))
    with pytest.raises(ResourceError, match="cannot write"):
        write_file(tmp_path / "rows", b"ours")


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
