"""Reading through the reader process and its confined parsers: what a document can do to it, and to the next one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.documents.confinement import Wall
from appliance.documents.parser_link import MAX_ANSWER_BYTES, Overdue, TooLong, receive_answer, send_request
from appliance.documents.parser_probe import ALLOWED_KINDS, DENIED_KINDS
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.sandbox import Reader, ReaderLimits, ReadReply, probe_sandbox, read_file
from appliance.documents.syscalls import this_machine
from tests.appliance.documents import hostile_documents as hostile

PATIENT = 120.0
needs_filter = pytest.mark.skipif(this_machine() is None, reason="the system calls of this machine are not known")


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader(ReaderLimits())
    yield made
    made.close()


def read(reader: Reader, folder: Path, name: str) -> ReadReply:
    reader.start(folder, os.fsencode(name))
    assert reader.connection is not None
    reader.connection.poll(PATIENT)
    return reader.finish()


def reader_pid(reader: Reader) -> int:
    assert reader._child is not None
    return reader._child.process.pid


def parsers(reader: Reader) -> list[int]:
    """The processes that the reader process keeps."""
    pid = reader_pid(reader)
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def simple_pdf() -> bytes:
    text = b"BT /F 12 Tf 10 100 Td (Total 42) Tj ET"
    return hostile.pdf({
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R"
           b" /Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        4: hostile.stream(text),
    })  # fmt: skip


def simple_docx() -> bytes:
    return hostile.docx(hostile.word_body("<w:p><w:r><w:t>Total 42</w:t></w:r></w:p>"))


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
    with socket.socket() as _:
        import select

        assert select.select([ending], [], [], PATIENT)[0] == [ending]
    os.close(ending)


def test_overdue_document_is_a_timeout(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    reply = read_file(tmp_path, b"a.txt", ReaderLimits(timeout_seconds=0.0))
    assert reply.problem is Problem.TIMEOUT


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
    reply = read_file(tmp_path, b"big.txt", ReaderLimits(memory_bytes=100 << 20))
    assert reply.problem is Problem.TOO_LARGE


def test_parser_sees_nothing_of_the_environment(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONTIER_API_KEY", "very-secret")
    (tmp_path / "a.txt").write_text("hello\n")
    read(reader, tmp_path, "a.txt")
    assert b"very-secret" not in Path(f"/proc/{reader_pid(reader)}/environ").read_bytes()


@needs_filter
def test_parser_cannot_break_out_and_says_so() -> None:
    report = probe_sandbox()
    assert {kind for kind in DENIED_KINDS if report.attempts[kind] == "allowed"} == set()
    assert [report.attempts[kind] for kind in ALLOWED_KINDS] == ["allowed"]
    assert report.level.required_missing == ""
    assert (report.level.rlimits.in_force, report.level.seccomp.in_force) == (True, True)
    assert report.level.landlock.in_force == (report.level.landlock_abi > 0)


BEFORE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import ctypes, errno, struct
from pathlib import Path
from appliance.documents import confinement, seccomp
from appliance.documents.syscalls import this_machine

machine = this_machine()
confinement._no_new_privileges()


def forbid(name, number, *first_argument):
    checks = [(0x20, 0, 0, 16), (0x15, 0, 1, first_argument[0])] if first_argument else []
    program = [(0x20, 0, 0, 0), (0x15, 0, len(checks) + 1, machine.numbers[name]), *checks,
        (0x06, 0, 0, 0x50000 | number), (0x06, 0, 0, 0x7FFF0000)]
    packed = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *instruction) for instruction in program))
    described = seccomp._Program(len(program), ctypes.addressof(packed))
    assert ctypes.CDLL(None).prctl(22, 2, ctypes.byref(described), 0, 0) == 0
"""


def without(forbidden: str, then: str) -> "subprocess.CompletedProcess[str]":
    """Runs Python where the kernel refuses a call, as old kernels and strict containers do."""
    import json

    return subprocess.run(
        [sys.executable, "-c", BEFORE + forbidden + then, json.dumps(sys.path)],
        capture_output=True, text=True, check=False, timeout=5 * PATIENT,
    )  # fmt: skip


READ_ALL = """
from appliance.documents.sandbox import Reader, ReaderLimits
from appliance.errors import ApplianceError
from appliance.settings import SandboxPolicy
folder = Path({folder!r})
reader = Reader(ReaderLimits(policy=SandboxPolicy({policy!r})))
try:
    for path in sorted(folder.iterdir()):
        reader.start(folder, path.name.encode())
        reader.connection.poll(100)
        reply = reader.finish()
        print(path.name, reply.problem, reply.message, reply.text.split())
except ApplianceError as error:
    print("refused", error.exit_code, error.message, "|", error.hint)
finally:
    reader.close()
"""
NO_FILTER = "forbid('prctl', errno.EPERM, 22)\n"
NO_LANDLOCK = "forbid('landlock_create_ruleset', errno.ENOSYS)\n"


@needs_filter
def test_without_a_filter_of_calls_documents_are_refused_unless_configured(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    refused = without(NO_FILTER, READ_ALL.format(folder=str(tmp_path), policy="required")).stdout
    assert refused == (
        "refused 4 documents are not read without a sandbox, which lacks filter of system calls: something around this"
        " process forbids it, such as the profile of a container | `stillroom doctor` shows all of it;"
        ' sandbox = "best-effort" in config.toml reads them all the same\n'
    )
    read_anyway = without(NO_FILTER, READ_ALL.format(folder=str(tmp_path), policy="best-effort")).stdout
    assert read_anyway == "a.txt None  ['hello']\n"


@needs_filter
def test_without_landlock_everything_is_read_and_no_file_can_be_opened(tmp_path: Path) -> None:
    from email.message import EmailMessage

    (tmp_path / "a.txt").write_bytes("Total 42 \u20ac".encode("cp1252"))
    (tmp_path / "b.html").write_text("<html><body><p>Total <b>42</b></p></body></html>")
    (tmp_path / "c.pdf").write_bytes(simple_pdf())
    (tmp_path / "d.docx").write_bytes(simple_docx())
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.com", "b@example.com", "x"
    mail.set_content("Total 42 \u0416", charset="koi8-r")
    (tmp_path / "e.eml").write_bytes(bytes(mail))
    done = without(NO_LANDLOCK, READ_ALL.format(folder=str(tmp_path), policy="required"))
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        [name, "None"] for name in ("a.txt", "b.html", "c.pdf", "d.docx", "e.eml")
    ], done.stdout + done.stderr
    assert all("'Total', '42'" in line for line in lines)
    probe = "from appliance.documents.sandbox import probe_sandbox\nprint(probe_sandbox())\n"
    told = without(NO_LANDLOCK, probe).stdout
    assert "'read another file': 'EACCES'" in told
    assert repr(Wall(False, "the kernel does not have it")) in told


@needs_filter
@pytest.mark.slow
@pytest.mark.parametrize("walls", ["", NO_LANDLOCK], ids=["landlock", "no-landlock"])
def test_scan_is_recognised_in_a_parser_that_can_load_nothing_more(tmp_path: Path, walls: str) -> None:
    pytest.importorskip("rapidocr")
    from PIL import Image, ImageDraw, ImageFont

    page = Image.new("RGB", (500, 80), "white")
    ImageDraw.Draw(page).text((10, 10), "TOTAL 42.50", fill="black", font=ImageFont.load_default(40))
    page.save(tmp_path / "b.png")
    page.save(tmp_path / "c.pdf")
    (tmp_path / "a.txt").write_text("before")
    (tmp_path / "d.txt").write_text("after")
    patient = READ_ALL.replace("poll(100)", "poll(600)")
    done = without(walls, patient.format(folder=str(tmp_path), policy="required"))
    assert [line.split(maxsplit=2) for line in done.stdout.splitlines()] == [
        ["a.txt", "None", "['before']"], ["b.png", "None", "['TOTAL', '42.50']"],
        ["c.pdf", "None", "['TOTAL', '42.50']"], ["d.txt", "None", "['after']"],
    ], done.stdout + done.stderr  # fmt: skip


@pytest.fixture(scope="module")
def hasty_reader() -> Iterator[Reader]:
    made = Reader(ReaderLimits(timeout_seconds=4.0, memory_bytes=512 << 20))
    yield made
    made.close()


HOSTILE = [
    hostile.zip_bomb, hostile.lying_zip_bomb, hostile.crowded_zip, hostile.billion_laughs, hostile.quadratic_blowup,
    hostile.outside_entity, hostile.nested_tables, hostile.nested_xml, hostile.nested_mail, hostile.nested_rtf,
    hostile.page_tree_cycle, hostile.form_calls_itself, hostile.forms_double, hostile.object_stream_in_itself,
    hostile.cross_reference_cycle, hostile.nested_arrays, hostile.deflated_page, hostile.filters_on_filters,
]  # fmt: skip
ENDINGS = {Problem.TOO_LARGE, Problem.UNREADABLE, Problem.EMPTY, Problem.TIMEOUT, Problem.READER_DIED}
BY_REFUSAL = {hostile.billion_laughs, hostile.quadratic_blowup, hostile.outside_entity}


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_hostile_document_is_one_failure_in_bounded_time_and_memory(
    hasty_reader: Reader, tmp_path: Path, make: Callable[[], bytes]
) -> None:
    (tmp_path / "hostile").write_bytes(make())
    (tmp_path / "next.txt").write_text("Total 42")
    started = time.monotonic()
    reply = read(hasty_reader, tmp_path, "hostile")
    assert reply.problem in ENDINGS
    assert reply.text == ""
    if make in BY_REFUSAL:
        assert "declares a document type" in reply.message
    assert time.monotonic() - started < hasty_reader.limits.longest_wait_seconds
    # The reader process never died: only its parsers did.
    process = reader_pid(hasty_reader)
    assert read(hasty_reader, tmp_path, "next.txt").text == "Total 42"
    assert reader_pid(hasty_reader) == process


@pytest.mark.parametrize("make", [hostile.nested_html, hostile.mail_in_mail], ids=lambda make: make.__name__)
def test_deep_document_is_read_within_bounds_or_fails(
    hasty_reader: Reader, tmp_path: Path, make: Callable[[], bytes]
) -> None:
    (tmp_path / "deep").write_bytes(make())
    reply = read(hasty_reader, tmp_path, "deep")
    assert reply.problem in {None, *ENDINGS}
    (tmp_path / "next.txt").write_text("Total 42")
    assert read(hasty_reader, tmp_path, "next.txt").text == "Total 42"


def test_entity_of_a_file_never_shows_the_file(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(hostile.outside_entity())
    reply = read(reader, tmp_path, "a.docx")
    assert "root:" not in reply.text + reply.message


class Taken:
    """A parser in the hands of a document, at the other end of the reader process's socket."""

    def __init__(self) -> None:
        self.link, self.theirs = socket.socketpair()

    def answer(self, data: bytes, within_seconds: float = PATIENT) -> bytearray:
        self.theirs.sendall(data)
        return receive_answer(self.link, time.monotonic() + within_seconds)


@pytest.fixture
def taken() -> Iterator[Taken]:
    made = Taken()
    yield made
    made.link.close()
    made.theirs.close()


def test_answer_longer_than_any_text_is_refused_before_it_is_read(taken: Taken) -> None:
    with pytest.raises(TooLong):
        taken.answer((MAX_ANSWER_BYTES + 1).to_bytes(8, "big"))


def test_answer_that_never_comes_ends_with_the_deadline(taken: Taken) -> None:
    with pytest.raises(Overdue):
        taken.answer((100).to_bytes(8, "big") + b"only the start", within_seconds=0.05)


def test_parser_that_closes_its_end_is_dead(taken: Taken) -> None:
    taken.theirs.close()
    with pytest.raises(EOFError):
        receive_answer(taken.link, time.monotonic() + PATIENT)
    with pytest.raises(EOFError):
        send_request(taken.link, b"A", [])


@pytest.mark.parametrize(
    "answer",
    [
        b"T", b"T{}\0text", b"T[]\0text", b'T{"notes": 5}\0text', b'T{"notes": []}\0\xff\xfe', b"Tnull\0",
        b'P{"problem": "invented", "message": ""}\0', b"P{}\0", b"P" + b"[" * 100_000, b"", b"\0\0\0",
    ],
    ids=range(11),
)  # fmt: skip
def test_nonsense_of_a_parser_is_one_failed_document(answer: bytes) -> None:
    from appliance.documents.sandbox import _reply

    assert _reply("0" * 64, answer).problem is Problem.READER_DIED


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


@pytest.mark.parametrize("ends", [False, True], ids=["stalls", "dies"])
def test_half_an_answer_of_a_parser_is_cleared(taken: Taken, ends: bool) -> None:
    taken.theirs.sendall((100).to_bytes(8, "big") + b"only the start")
    if ends:
        taken.theirs.close()
    with pytest.raises(EOFError if ends else Overdue) as caught:
        receive_answer(taken.link, time.monotonic() + (PATIENT if ends else 0.05))
    held = [frame.frame.f_locals["received"] for frame in caught.traceback if "received" in frame.frame.f_locals]
    assert held == [bytearray(100)]
