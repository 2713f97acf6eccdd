"""The walls around a parser: that none lets it out, and what happens where the kernel refuses one."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from appliance.documents.confinement import Wall
from appliance.documents.parser_probe import ALLOWED_KINDS, DENIED_KINDS
from appliance.documents.sandbox import probe_sandbox
from appliance.documents.syscalls import this_machine
from tests.appliance.batch_fixtures import Bench
from tests.appliance.comparison.conftest import Pair
from tests.appliance.documents.pdf_files import form_pdf, shown
from tests.appliance.documents.reader_bench import PATIENT, simple_docx, simple_pdf

needs_filter = pytest.mark.skipif(this_machine() is None, reason="the system calls of this machine are not known")


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


def without(
    forbidden: str, then: str, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs Python where the kernel refuses a call, as old kernels and strict containers do."""
    return subprocess.run(
        [sys.executable, "-c", BEFORE + forbidden + then, json.dumps(sys.path)],
        capture_output=True, text=True, check=False, timeout=5 * PATIENT, env=environment,
    )  # fmt: skip


READ_ALL = """
from appliance.documents.sandbox import Reader, ReaderLimits
from appliance.ground.errors import ApplianceError
from appliance.ground.settings import SandboxPolicy
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
        "refused 4 documents are not read without a sandbox, and this one has no system call filter (it is forbidden"
        " here, for example by the security profile of a container) | run `stillroom doctor` for details;"
        ' to read them anyway, set sandbox = "best-effort" in config.toml\n'
    )
    read_anyway = without(NO_FILTER, READ_ALL.format(folder=str(tmp_path), policy="best-effort")).stdout
    assert read_anyway == "a.txt None  ['hello']\n"


COMMAND = "from appliance.cli import main\nsys.argv = ['stillroom', *{arguments!r}]\nsys.exit(main())\n"


@pytest.mark.slow
@needs_filter
def test_every_command_that_reads_documents_keeps_to_the_setting_of_the_sandbox(bench: Bench) -> None:
    bench.write_orders(1)
    pair = Pair(bench)
    recorded, folder = bench.root / "recorded.jsonl", bench.root / "orders"
    recorded.write_text(json.dumps({"document": "0000.txt", "answer": {"total": "12.50"}}) + "\n")
    folder.mkdir()
    (folder / "task.toml").write_text(bench.task_path.read_text())
    collect = ["collect", str(folder), "--recorded", str(recorded), "--documents", str(bench.documents_dir)]

    def ended(arguments: list[str]) -> tuple[int, bool]:
        done = without(NO_FILTER, COMMAND.format(arguments=arguments), bench.environment)
        return done.returncode, "documents are not read without a sandbox" in done.stderr

    assert ended(collect) == (4, True)
    (bench.home_dir / "config.toml").write_text('sandbox = "best-effort"\n')
    assert [ended(words) for words in (collect, bench.run_arguments(), pair.arguments())] == [(0, False)] * 3


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


NO_MEMORY_TO_RUN = """
import ctypes
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, since Linux 6.3
    print("older kernel")
    raise SystemExit
"""
"""What `MemoryDenyWriteExecute=` of a systemd unit does: no memory may be written and run."""


FILLED = b"/FT /Tx /V (42) /Rect [100 295 300 315]"


@needs_filter
def test_form_of_a_pdf_is_read_where_no_memory_may_be_written_and_run(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(form_pdf(shown((20, 300, "Total")), FILLED))
    (tmp_path / "b.pdf").write_bytes(simple_pdf())
    done = without("", NO_MEMORY_TO_RUN + READ_ALL.format(folder=str(tmp_path), policy="required"))
    if done.stdout == "older kernel\n":
        pytest.skip("the kernel cannot forbid it to a process")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["a.pdf", "None"], ["b.pdf", "None"]], done
    assert done.stdout.count("42") == 2


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
