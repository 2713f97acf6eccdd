"""The rendered units under the real systemd: every engine and every reader works within all of their walls."""

import io
import json
import pwd
import shutil
import sys
from pathlib import Path

import click
import pytest
from decoder_fixtures import order
from systemd_fixtures import SHARE, WAITING, SystemdMachine, why_no_systemd

from appliance.documents.text_recognition import recognition_is_installed
from appliance.ground.settings import load_settings
from appliance.models.store import Store
from training.demo.files import WRITERS

ROOT_DIR = Path(__file__).parents[2]
PREFIX, STATE, FOLDER = "/opt/stillroom", "/var/lib/stillroom", "/srv/bills"
ROOTS_HOME = pwd.getpwuid(0).pw_dir
RELEASE = f"{PREFIX}/releases/1"
PYTHON = f"{RELEASE}/venv/bin/python"
FORMATS = ("gguf-q8_0", "onnx-int8")
PROGRAM = f"""#!/bin/sh
: "${{STILLROOM_HOME:={STATE}}}"
export STILLROOM_HOME
exec "{PYTHON}" -I -X utf8 -m appliance.cli "$@"
"""
SET_UP = f"""set -e
useradd --system --home-dir {STATE} --shell /usr/sbin/nologin stillroom
chown -R stillroom: {STATE}
install -d -o stillroom -m 0750 {FOLDER}/in {FOLDER}/rows
"""
UNITS = f"{PREFIX}/current/systemd/units.sh"
EXCHANGED = """cd /etc/systemd/system
mkdir stillroom-batch-{name}.service.d
printf '[Service]\\nExecStart=\\nExecStart=%s\\n' '{command}' >stillroom-batch-{name}.service.d/exchanged.conf
"""
"""Another program in the place of the run, within the same walls."""
ATTEMPTS = f"""
import ctypes, json, mmap, os, socket, sys
def attempt(action):
    try:
        action()
    except OSError:
        return "refused"
    return "allowed"
libc = ctypes.CDLL(None, use_errno=True)
def call(number):
    if number < 0:
        raise OSError
json.dump({{
    "memory to write and run": attempt(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)),
    "internet": attempt(lambda: socket.socket(socket.AF_INET)),
    "namespace": attempt(lambda: call(libc.unshare(0x10000000))),
    "mount": attempt(lambda: call(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))),
    "keys": attempt(lambda: call(libc.syscall(250, 0, -3, 1))),
    "write input": attempt(lambda: open("{FOLDER}/in/new", "w")),
    "write program": attempt(lambda: open("{PREFIX}/new", "w")),
    "write system": attempt(lambda: open("/usr/new", "w")),
    "read home": attempt(lambda: open("{ROOTS_HOME}/.profile")),
    "see process 1": attempt(lambda: open("/proc/1/status")),
    "write rows": attempt(lambda: open("{FOLDER}/rows/.probe", "w")),
    "write state": attempt(lambda: open("{STATE}/.probe", "w")),
}}, sys.stdout)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_no_systemd()), reason=why_no_systemd() or "systemd can be started"),
]


@pytest.fixture
def machine(tmp_path: Path, students: Path) -> SystemdMachine:
    """A machine with a release that is this checkout, with a student in each format, and orders in every format."""
    make_release(tmp_path / "prefix" / "releases" / "1")
    (tmp_path / "prefix" / "current").symlink_to("releases/1")
    shutil.copy(students.parents[2] / "task.toml", tmp_path / "prefix")
    store = Store(load_settings({"STILLROOM_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}))
    for name in FORMATS:
        store.add(students / name, name)
    (tmp_path / "rows").mkdir()
    write_orders(tmp_path / "in")
    site_dir = Path(str(click.__file__)).parents[1]
    site, source = f"{RELEASE}/venv/lib/python3.{sys.version_info.minor}/site-packages", f"{RELEASE}/source"
    # A checkout in a home or among temporary files is out of sight where its path leads.
    (link,) = site_dir.glob("*stillroom*.pth")
    (tmp_path / link.name).write_text(f"{source}\n")
    mounts = {PREFIX: "prefix", STATE: "state", f"{FOLDER}/in": "in", f"{FOLDER}/rows": "rows"}
    return SystemdMachine(
        tmp_path,
        {
            **{place: tmp_path / name for place, name in mounts.items()},
            # The libraries of this environment, in the place of those that the installer would have put there.
            site: site_dir,
            source: ROOT_DIR,
            f"{site}/{link.name}": tmp_path / link.name,
        },
    )


def make_release(release_dir: Path) -> None:
    """A release as the installer leaves it, but that its libraries are this environment's."""
    import venv

    venv.create(release_dir / "venv", with_pip=False)
    shutil.copytree(ROOT_DIR / "packaging" / "systemd", release_dir / "systemd")
    (release_dir / "docs").mkdir()
    shutil.copy(ROOT_DIR / "docs" / "install.md", release_dir / "docs")
    (release_dir / "bin").mkdir()
    (release_dir / "bin" / "stillroom").write_text(PROGRAM)
    for path in (release_dir / "bin" / "stillroom", release_dir / "systemd" / "units.sh"):
        path.chmod(0o755)
    (release_dir / "RELEASE").write_text(f"version=1\nstate={STATE}\n")


def write_orders(folder: Path) -> None:
    """One order in each format, and one as a picture where text recognition is installed."""
    folder.mkdir()
    for number, (suffix, written) in enumerate(WRITERS.items(), 32):
        (folder / f"{number}.{suffix}").write_bytes(written(order(number)[0], "An order"))
    if recognition_is_installed():
        from PIL import Image, ImageDraw, ImageFont

        image = Image.new("L", (900, 300), 255)
        ImageDraw.Draw(image).text((40, 40), order(38)[0], fill=0, font=ImageFont.load_default(44))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        (folder / "38.png").write_bytes(buffer.getvalue())


def rendered(name: str, *options: str) -> str:
    """The command that renders the units of a batch."""
    folders = f"--task {PREFIX}/task.toml --input {FOLDER}/in --output {FOLDER}/rows"
    return f"{UNITS} {name} {folders} {' '.join(options)}\nsystemctl daemon-reload\n"


@pytest.mark.parametrize("name", FORMATS)
def test_every_document_is_answered_within_the_walls_of_the_unit(machine: SystemdMachine, name: str) -> None:
    done = machine.run(SET_UP + rendered("bills", "--model", name) + "systemctl start stillroom-batch-bills.service\n")
    assert done.returncode == 0, done.stderr + machine.said
    lines = (machine.root / "rows" / "rows.jsonl").read_text().splitlines()
    rows = {row["document"]: row for row in map(json.loads, lines)}
    assert set(rows) == {path.name for path in (machine.root / "in").iterdir()}
    for document, row in rows.items():
        assert (row["route"], row["error"]) == ("local", None), document
    # The student knows the bare text; a title above it is new to it.
    assert rows["32.txt"]["fields"] == order(32)[1]


@pytest.mark.parametrize(
    ("options", "allowed"),
    [([], ["write rows", "write state"]), (["--gpu"], ["memory to write and run", "write rows", "write state"])],
    ids=["cpu", "gpu"],
)
def test_walls_of_the_unit_stand(machine: SystemdMachine, options: list[str], allowed: list[str]) -> None:
    command = f"{PYTHON} -I {SHARE}/attempts.py"
    (machine.root / "share").mkdir()
    (machine.root / "share" / "attempts.py").write_text(ATTEMPTS)
    script = rendered("bills", *options) + EXCHANGED.format(name="bills", command=command)
    script += "systemctl daemon-reload\n"
    outside = "chmod 755 /root\nsetpriv --reuid stillroom --regid stillroom --clear-groups "
    done = machine.run(
        f"{SET_UP}{script}systemctl start stillroom-batch-bills.service\n{outside}{command} >{SHARE}/outside\n"
    )
    assert done.returncode == 0, done.stderr + machine.said
    assert succeeded(machine.said) == allowed
    without_walls = succeeded((machine.root / "share" / "outside").read_text())
    # What this user could not do anyway is left out: the walls are what keeps it from the rest.
    assert {"memory to write and run", "internet", "namespace", "keys", "write input", "see process 1"} <= set(
        without_walls
    )


def succeeded(text: str) -> list[str]:
    """The attempts that were not refused."""
    return [what for what, result in json.loads(text).items() if result == "allowed"]


def test_doctor_finds_the_sandbox_whole_within_the_unit(machine: SystemdMachine) -> None:
    command = f"{PREFIX}/current/bin/stillroom doctor --json"
    script = rendered("bills") + EXCHANGED.format(name="bills", command=command) + "systemctl daemon-reload\n"
    machine.run(SET_UP + script + "systemctl start stillroom-batch-bills.service\n")
    checks = {check["name"]: check for check in json.loads(machine.said.splitlines()[0])["checks"]}
    named = ("sandbox", "interpreter", "libraries", "processor", "home", "disk", "egress")
    assert [checks[name] for name in named if checks[name]["state"] == "fail"] == []


def test_file_that_comes_starts_the_run(machine: SystemdMachine) -> None:
    """As docs/install.md has it: path and timer are enabled, then documents come."""
    documents = machine.root / "later"
    (machine.root / "in").rename(documents)
    (machine.root / "in").mkdir()
    (machine.root / "share").mkdir()
    shutil.copytree(documents, machine.root / "share" / "documents")
    watching = "systemctl enable --now stillroom-batch-bills.path stillroom-batch-bills.timer"
    script = f"""{SET_UP}{rendered("bills", "--model", FORMATS[0])}{WAITING}
{watching}
cp {SHARE}/documents/* {FOLDER}/in
read come <{SHARE}/pipe
systemctl start stillroom-batch-bills.service
systemctl show --property=Result stillroom-batch-bills.service
systemctl is-enabled stillroom-batch-bills.path stillroom-batch-bills.timer
"""
    done = machine.run(script)
    assert done.returncode == 0, done.stderr + machine.said
    assert done.stdout.splitlines()[-3:] == ["Result=success", "enabled", "enabled"]
    rows = (machine.root / "rows" / "rows.jsonl").read_text().splitlines()
    assert len(rows) == len(list(documents.iterdir()))
