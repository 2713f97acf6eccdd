"""Reading through the reader process and its parsers: what is shared, what ends, and what a death costs."""

import os
import select
import signal
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sandbox import Reader, ReaderLimits, read_files
from tests.appliance.documents import hostile_documents as hostile
from tests.appliance.documents.reader_bench import PATIENT, parsers, read, reader_pid, simple_docx, simple_pdf


def test_text_and_its_hash_come_back(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    reply = read(reader, tmp_path, "a.txt")
    assert (reply.text, reply.problem) == ("hello\n", None)
    assert reply.sha256 == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


def test_link_is_never_followed(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(DocumentError, match="cannot be opened"):
        reader.start(tmp_path, b"link")


def test_plain_documents_share_a_parser_and_others_have_their_own(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Total 42")
    (tmp_path / "b.pdf").write_bytes(simple_pdf())
    (tmp_path / "c.docx").write_bytes(simple_docx())
    assert read(reader, tmp_path, "a.txt").text == "Total 42"
    (shared,) = parsers(reader)
    for name in ("b.pdf", "c.docx", "a.txt", "b.pdf"):
        assert read(reader, tmp_path, name).text.strip() == "Total 42"
        # A parser that ran native code is gone with its document.
        assert parsers(reader) == [shared]


def test_parser_ends_after_any_failure(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Total 42")
    (tmp_path / "empty.txt").write_text("   ")
    read(reader, tmp_path, "a.txt")
    assert len(parsers(reader)) == 1
    assert read(reader, tmp_path, "empty.txt").problem is Problem.EMPTY
    assert parsers(reader) == []
    assert read(reader, tmp_path, "a.txt").text == "Total 42"


def test_parser_ends_after_so_many_documents(tmp_path: Path) -> None:
    reader = Reader(ReaderLimits(documents_per_child=2))
    (tmp_path / "a.txt").write_text("Total 42")
    try:
        kept = [(read(reader, tmp_path, "a.txt").text, len(parsers(reader)))[1] for _ in range(4)]
    finally:
        reader.close()
    assert kept == [1, 0, 1, 0]


def test_killed_parser_and_killed_reader_cost_one_document_each(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    read(reader, tmp_path, "a.txt")
    for victim in (parsers(reader)[0], reader_pid(reader)):
        # Stopped first, so that the kill comes while the document is in work.
        os.kill(victim, signal.SIGSTOP)
        reader.start(tmp_path, b"a.txt")
        os.kill(victim, signal.SIGKILL)
        assert reader.connection is not None
        reader.connection.poll(PATIENT)
        reply = reader.finish()
        assert reply.problem is Problem.READER_DIED
        assert "SIGKILL" in reply.message
        assert read(reader, tmp_path, "a.txt").text == "hello\n"


def test_no_parser_outlives_a_killed_reader(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    read(reader, tmp_path, "a.txt")
    (parser,) = parsers(reader)
    ending = os.pidfd_open(parser)
    os.kill(reader_pid(reader), signal.SIGKILL)
    assert select.select([ending], [], [], PATIENT)[0] == [ending]
    os.close(ending)


def test_overdue_document_is_a_timeout(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    ((_, reply),) = read_files(tmp_path, [b"a.txt"], ReaderLimits(timeout_seconds=0.0), readers=1)
    assert reply.problem is Problem.TIMEOUT


def test_file_that_is_too_large_is_said_to_be_that_without_reading_it(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    os.truncate(tmp_path / "film.mp4", 1 << 38)
    reply = read(reader, tmp_path, "film.mp4")
    assert (reply.problem, reply.message) == (Problem.TOO_LARGE, "the file is larger than 64 MB")


def test_reader_that_hangs_itself_is_overdue_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    reader = Reader(ReaderLimits(timeout_seconds=30.0, recognition_seconds=30.0, grace_seconds=-60.0))
    try:
        # The first document starts the process; its time, with no grace at all, is over at once.
        reader.start(tmp_path, b"a.txt")
        os.kill(reader_pid(reader), signal.SIGSTOP)
        assert reader.overdue
        assert reader.finish().problem is Problem.TIMEOUT
        assert reader.connection is None
    finally:
        reader.close()


def test_document_has_no_more_memory_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_bytes(b"word \n" * (8 << 20))
    ((_, reply),) = read_files(tmp_path, [b"big.txt"], ReaderLimits(memory_bytes=100 << 20), readers=1)
    assert reply.problem is Problem.TOO_LARGE


def test_parser_sees_nothing_of_the_environment(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONTIER_API_KEY", "very-secret")
    (tmp_path / "a.txt").write_text("hello\n")
    read(reader, tmp_path, "a.txt")
    assert b"very-secret" not in Path(f"/proc/{reader_pid(reader)}/environ").read_bytes()


def test_reader_process_keeps_no_document_in_memory_for_what_it_forks(reader: Reader, tmp_path: Path) -> None:
    # Short texts lie in other memory than long ones, and pieces of them in vector registers that are put on the stack.
    for repeats in (1, 2, 8, 20, 60, 200, 1000, 5000):
        secret = "Edelgard-Quuxley-" * repeats
        (tmp_path / "a.txt").write_text(secret)
        (tmp_path / "b.docx").write_bytes(hostile.docx(hostile.word_body(f"<w:p><w:r><w:t>{secret}</w:t></w:r></w:p>")))
        for name in ("a.txt", "b.docx"):
            assert read(reader, tmp_path, name).text.strip() == secret
            assert places_in_memory(reader_pid(reader), b"Quuxley") == [], (name, repeats)


def places_in_memory(pid: int, piece: bytes) -> list[str]:
    """The regions of a process that hold the piece, of those that it can write."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            start, end = (int(number, 16) for number in place.split("-"))
            if rights.startswith("rw"):
                memory.seek(start)
                if piece in memory.read(end - start):
                    found.append(line)
    return found


def test_documents_come_in_their_order_whatever_each_costs(tmp_path: Path) -> None:
    names = [f"{number}.txt" for number in range(6)]
    for name in names:
        (tmp_path / name).write_text(f"document {name}")
    (tmp_path / "1.txt").write_bytes(simple_pdf())
    (tmp_path / "3.txt").unlink()
    (tmp_path / "4.txt").write_text(" ")
    found = list(read_files(tmp_path, map(os.fsencode, names)))
    assert [os.fsdecode(path) for path, _ in found] == names
    assert [reply.text.strip() for _, reply in found] == [
        "document 0.txt", "Total 42", "document 2.txt", "", "", "document 5.txt",
    ]  # fmt: skip
    assert [reply.problem for _, reply in found] == [None, None, None, Problem.MISSING, Problem.EMPTY, None]


def test_document_whose_reader_was_killed_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Total 42")

    def paths() -> Iterator[bytes]:
        before = children()
        yield b"a.txt"
        # The first document is with its reader now.
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)
        yield b"a.txt"

    assert [reply.text for _, reply in read_files(tmp_path, paths())] == ["Total 42", "Total 42"]


def test_readers_end_with_the_reading(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Total 42")
    before = children()
    found = read_files(tmp_path, [b"a.txt"] * 5)
    next(found)
    assert len(children() - before) == 2
    found.close()
    assert children() == before


def test_notes_of_a_document_are_bounded(reader: Reader, tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.com", "b@example.com", "x"
    mail.set_content("Total 42")
    for number in range(150):
        mail.add_attachment("x" * 10, filename=f"{number}.txt")
    (tmp_path / "a.eml").write_bytes(bytes(mail))
    notes = read(reader, tmp_path, "a.eml").notes
    assert (notes[1], len(notes), notes[-1]) == (
        "attachment 0.txt: read as text", 101, "further notes left out: 51",
    )  # fmt: skip


def children() -> set[int]:
    """The processes that this one started and has not waited for."""
    return {int(word) for path in Path("/proc/self/task").glob("*/children") for word in path.read_text().split()}


def test_module_among_the_documents_is_not_run_where_somebody_stands_in_their_folder(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json.py", "os.py", "socket.py", "encodings.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    assert "SystemExit" not in read(reader, tmp_path, "json.py").message
    assert not (tmp_path / "ran").exists()
