"""Walking hostile folders, and opening what is in them."""

import errno
import json
import os
import resource
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.documents import beneath
from appliance.documents.folder import DocumentFolder, FoundDocument, document_name, document_path, walk
from appliance.documents.left_out import LeftOut, left_out_by_name, left_out_text
from appliance.documents.problems import DocumentError, Problem
from appliance.ground.errors import UsageError
from appliance.ground.json_text import json_text
from appliance.ground.text import storable
from tests.appliance.capabilities import without_right_to_read_everything

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


@contextmanager
def deep_folder(root: Path, name: str, depth: int) -> Iterator[None]:
    """So many folders in one another with a file in each; removed at the end by a program that does not recurse."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(os.open("a.txt", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)
        here = below
    os.close(here)
    try:
        yield
    finally:
        subprocess.run(["rm", "-rf", str(root / name)], check=True)


def test_folder_deeper_than_the_interpreter_recurses_is_walked_to_its_end(tmp_path: Path) -> None:
    with deep_folder(tmp_path, "d", 1100):
        paths = [document.path for document in walk(tmp_path)]
    assert [len(path) for path in paths] == [5 + 2 * depth for depth in range(1100)]


@pytest.mark.parametrize("by_names", [False, True], ids=["by-path", "by-names"])
def test_path_longer_than_the_system_takes_is_walked_and_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_names: bool
) -> None:
    if by_names:
        monkeypatch.setattr(beneath, "_openat2", lambda: None)
    with deep_folder(tmp_path, "d" * 250, 30), DocumentFolder(tmp_path) as folder:
        documents = list(folder.walk())
        assert max(len(document.path) for document in documents) > 4096
        for document in documents:
            os.close(folder.open(document.path))
            assert folder.facts(document.path) == document


def test_folders_in_folders_cost_no_more_descriptors_than_a_process_has(tmp_path: Path) -> None:
    for name in ("a", "z"):
        # After the deep folder there is one more name in each, so each is opened again on the way back.
        here = tmp_path
        for _ in range(150):
            here = here / "m"
            here.mkdir(exist_ok=True)
            (here / f"{name}.txt").write_text("x")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 100, limits[1]))
    try:
        paths = [document.path for document in walk(tmp_path)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(paths) == 300
    assert paths == sorted(paths)


@pytest.mark.parametrize("nanoseconds", [1 << 63, -(1 << 63) - 1, 10_500_000_000_000_000_000])
def test_times_beyond_what_a_database_holds_end_at_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nanoseconds: int
) -> None:
    (tmp_path / "a.txt").write_text("x")
    facts = os.stat(tmp_path / "a.txt")
    huge = type("Facts", (), {"st_mode": facts.st_mode, "st_size": 1 << 64, "st_mtime_ns": nanoseconds})
    monkeypatch.setattr(os, "stat", lambda *_, **__: huge)
    (document,) = walk(tmp_path)
    assert abs(document.modified_ns) >= (1 << 63) - 1
    assert -(1 << 63) <= document.modified_ns < 1 << 63
    assert document.size_bytes == (1 << 63) - 1


def test_folder_that_cannot_be_listed_is_a_document_with_the_reason(tmp_path: Path) -> None:
    for name in ("closed", "listed-only", "passed-only"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("x")
    for name, mode in (("closed", 0), ("listed-only", 0o444), ("passed-only", 0o111)):
        (tmp_path / name).chmod(mode)
    with without_right_to_read_everything(), DocumentFolder(tmp_path) as folder:
        documents = list(folder.walk())
        problems = []
        for document in documents:
            with pytest.raises(DocumentError) as problem:
                folder.open(document.path)
            problems.append((problem.value.problem, problem.value.message))
        assert folder.why_missing(b"closed/a.txt") == ""
    assert [document.path for document in documents] == [b"closed/", b"listed-only/a.txt", b"passed-only/"]
    assert all("Permission denied" in document.problem for document in documents)
    assert [problem for problem, _ in problems] == [Problem.UNREADABLE] * 3
    assert all("Permission denied" in message for _, message in problems)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENAMETOOLONG])
def test_only_what_is_gone_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    (tmp_path / "a.txt").write_text("x")

    def failing(*_: object, **__: object) -> os.stat_result:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "stat", failing)
    with DocumentFolder(tmp_path) as folder:
        (document,) = folder.walk()
        assert os.strerror(number) in document.problem
        assert folder.why_missing(b"a.txt") == ""
        with pytest.raises(DocumentError, match=os.strerror(number)):
            folder.facts(b"a.txt")


def test_file_that_is_gone_is_told_apart_from_one_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with DocumentFolder(tmp_path) as folder:
        for path in (b"gone.txt", b"gone/a.txt", b"file/a.txt"):
            with pytest.raises(DocumentError) as problem:
                folder.open(path)
            assert problem.value.problem is Problem.MISSING
            assert folder.why_missing(path) == "the file left the folder"
            assert folder.facts(path) is None


@pytest.mark.parametrize("by_names", [False, True], ids=["by-path", "by-names"])
def test_folder_that_became_a_link_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_names: bool
) -> None:
    if by_names:
        monkeypatch.setattr(beneath, "_openat2", lambda: None)
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    for directory in (outside / "sub", inside / "a", inside / "z" / "sub"):
        directory.mkdir(parents=True)
    (outside / "key.txt").write_text("secret")
    (outside / "sub" / "key.txt").write_text("secret")
    for path in (inside / "a" / "1.txt", inside / "z" / "key.txt", inside / "z" / "sub" / "key.txt"):
        path.write_text("theirs")
    with DocumentFolder(inside) as folder:
        left_out: Counter[LeftOut] = Counter()
        walking = folder.walk(left_out)
        assert next(walking).path == b"a/1.txt"
        (inside / "z").rename(inside / ".z")
        (inside / "z").symlink_to(outside)
        assert list(walking) == []
        assert left_out[LeftOut.LINKS] == 1
        for path in (b"z/key.txt", b"z/sub/key.txt"):
            with pytest.raises(DocumentError, match="a link stands in its way"):
                folder.open(path)
            assert folder.why_missing(path) == "a link stands in its way"
        (inside / "z").unlink()
        (inside / "z").mkdir()
        (inside / "z" / "key.txt").symlink_to(outside / "key.txt")
        with pytest.raises(DocumentError, match="a link stands in its way"):
            folder.open(b"z/key.txt")


def test_file_is_opened_in_a_folder_that_may_only_be_passed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    tmp_path.chmod(0o111)
    try:
        with without_right_to_read_everything(), DocumentFolder(tmp_path) as folder:
            os.close(folder.open(b"a.txt"))
            with pytest.raises(UsageError, match=r"cannot list .*: Permission denied"):
                list(folder.walk())
    finally:
        tmp_path.chmod(0o700)


def test_folder_that_was_renamed_while_it_is_walked_stays_the_one_that_was_opened(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for directory in (inside, outside):
        (directory / "sub").mkdir(parents=True)
        for name in ("a.txt", "sub/b.txt"):
            (directory / name).write_text(directory.name)
    with DocumentFolder(inside) as folder:
        walking = folder.walk()
        next(walking)
        inside.rename(tmp_path / "elsewhere")
        inside.symlink_to(outside)
        (document,) = walking
        descriptor = folder.open(document.path)
        assert os.read(descriptor, 99) == b"inside"
        os.close(descriptor)


LEFT_OUT = {
    "~$order.docx": LeftOut.LOCK_FILES, "~$budget.xlsx": LeftOut.LOCK_FILES, ".~lock.order.odt#": LeftOut.LOCK_FILES,
    "a.docx~RF4b2d8.TMP": LeftOut.LOCK_FILES, "plan.dwl2": LeftOut.LOCK_FILES, "~plan~b1.idlk": LeftOut.LOCK_FILES,
    "old.ldb": LeftOut.LOCK_FILES, "@Recycle": LeftOut.SYSTEM_FILES, "#snapshot": LeftOut.SYSTEM_FILES,
    "found.000": LeftOut.SYSTEM_FILES, "found.pdf": None, "orders.lnk": LeftOut.LINKS, "~draft.txt": None,
    "~WRD0001.tmp": LeftOut.LOCK_FILES, "orders.laccdb": LeftOut.LOCK_FILES, "Thumbs.db": LeftOut.SYSTEM_FILES,
    "thumbs.db": LeftOut.SYSTEM_FILES, "ehthumbs.db": LeftOut.SYSTEM_FILES, "desktop.ini": LeftOut.SYSTEM_FILES,
    "Desktop.ini": LeftOut.SYSTEM_FILES, ".DS_Store": LeftOut.SYSTEM_FILES, "._order.pdf": LeftOut.SYSTEM_FILES,
    "Icon\r": LeftOut.SYSTEM_FILES, "__MACOSX": LeftOut.SYSTEM_FILES, "lost+found": LeftOut.SYSTEM_FILES,
    ".hidden": LeftOut.HIDDEN, "order.tmp": None, "~order.txt": None, "$order.docx": None, "order~$.docx": None,
    "scan.pdf.crdownload": LeftOut.TEMPORARY_FILES, "scan.PDF.part": LeftOut.TEMPORARY_FILES,
    "a.docx.filepart": LeftOut.TEMPORARY_FILES, "orders.txt~": LeftOut.TEMPORARY_FILES,
    "#orders.txt#": LeftOut.TEMPORARY_FILES, "a.docx.sb-1a2b3c4d-AbCd3F": LeftOut.TEMPORARY_FILES,
    "part": None, "a.part1.pdf": None, "DOCUME~1.PDF": None, "#1 order.txt": None, ".x.part": LeftOut.HIDDEN,
    "my desktop.ini.txt": None, "Thumbs.db.pdf": None, "~": None,
}  # fmt: skip


def test_lock_files_and_what_systems_keep_are_told_apart_from_documents() -> None:
    assert {name: left_out_by_name(name.encode()) for name in LEFT_OUT} == LEFT_OUT


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    for name in ("a.txt", "~$a.docx", "Thumbs.db", ".DS_Store", ".hidden"):
        (tmp_path / name).write_text("x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".~lock.b.odt#").write_text("x")
    (tmp_path / "link.txt").symlink_to("a.txt")
    (tmp_path / "linked-folder").symlink_to("sub")
    os.mkfifo(tmp_path / "pipe")
    left_out: Counter[LeftOut] = Counter()
    with DocumentFolder(tmp_path) as folder:
        assert [document.name for document in folder.walk(left_out)] == ["a.txt"]
    counts = {str(kind): count for kind, count in left_out.items()}
    assert counts == {"links": 2, "lock_files": 2, "system_files": 2, "hidden": 1, "special_files": 1}
    assert left_out_text(counts) == "2 links, 2 lock files, 2 system files, 1 hidden file or folder, 1 pipe or device"


ALIKE = [
    b"\xff", rb"\xff", rb"\x5cxff", rb"\\xff", b"\\\xff", rb"\XFF", rb"\x", rb"\xf", b"\\xf\xff", b"\xc3\xbf",
    b"\xff\xfe", b"\xffxfe", rb"a\b", rb"a\x5cb", b"\xed\xa0\x80",
    b"\x7f", rb"\x7f", b"\xef\xbf\xbd", b"\xef\xbf\xbe", rb"\xef\xbf\xbe", b"\xef\xb7\x90", b"\xf4\x8f\xbf\xbf",
    b"\x01",
]  # fmt: skip


def test_no_two_paths_have_the_same_name_and_each_name_leads_back() -> None:
    names = [document_name(path) for path in ALIKE]
    assert len(set(names)) == len(ALIKE)
    assert [document_path(name) for name in names] == ALIKE
    assert document_name(rb"a\b.txt") == "a\\b.txt"
    rows = [storable(json_text(name)) for name in names]
    assert [json.loads(row) for row in rows] == names, "no row holds another name"


def test_found_document_is_known_by_its_path() -> None:
    assert FoundDocument(b"\xff", 1, 1).name == "\\xff"
