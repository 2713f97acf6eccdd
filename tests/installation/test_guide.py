"""docs/install.md, command by command as it is written, on a machine with systemd and without a network."""

import re
import shutil
from pathlib import Path

import pytest
from bundle_fixtures import PYTHON, Bundle
from systemd_fixtures import SHARE, WAITING, SystemdMachine, why_no_systemd

ROOT_DIR = Path(__file__).parents[2]
PATH = "/usr/local/bin:/usr/bin:/bin"
PERSON = f"setpriv --reuid ann --regid ann --init-groups env --chdir=/home/ann -i HOME=/home/ann PATH={PATH}"
HAS_PYTHON = shutil.which(f"python{PYTHON}", path=PATH) is not None

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_no_systemd()), reason=why_no_systemd() or "systemd can be started"),
    pytest.mark.skipif(not HAS_PYTHON, reason=f"everybody's Python here is not {PYTHON}, which the bundle is for"),
]


def commands(heading: str) -> str:
    """The commands below a heading of the guide; the task is the one of the small bundle."""
    text = (ROOT_DIR / "docs" / "install.md").read_text("utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert blocks, heading
    return "".join(blocks).replace("utility-bills", "orders")


@pytest.fixture
def machine(tmp_path: Path, old_bundle: Bundle) -> SystemdMachine:
    """Bundle, key and documents, as they came to the operator; `/opt` and `/var/lib` are on a disk."""
    share = tmp_path / "share"
    (share / "came" / "documents").mkdir(parents=True)
    shutil.copy(old_bundle.tar_path, share / "came")
    key = old_bundle.key_path.read_text()
    (share / "came" / "builder.key").write_text(f'stillroom-bundle namespaces="stillroom-bundle" {key}')
    (share / "came" / "documents" / "a.txt").write_text("Number: 7\nTotal: 7.50\n")
    for name in ("opt", "state", "home", "srv"):
        (tmp_path / name).mkdir()
    mounts = {"/opt": "opt", "/home": "home", "/srv": "srv", "/var/lib/stillroom": "state"}
    return SystemdMachine(tmp_path, {place: tmp_path / name for place, name in mounts.items()})


def test_person_without_root_installs_runs_a_folder_goes_back_and_away(machine: SystemdMachine) -> None:
    again = "sh stillroom-0.1.0-linux-x86_64/install.sh --key builder.key --again"
    parts = [f"({commands('Install')})", commands("Run a folder"), again, commands("Go back, go away")]
    (machine.root / "share" / "person").write_text("set -ex\n" + "\n".join(parts))
    script = f"useradd --create-home ann\ncp -r {SHARE}/came/* /home/ann\nchown -R ann: /home/ann\n"
    done = machine.run(f"set -e\n{script}{PERSON} sh {SHARE}/person\n")
    assert done.returncode == 0, done.stderr
    assert 'Good "stillroom-bundle" signature' in done.stdout
    home = machine.root / "home" / "ann"
    assert '"fields":{"number":"7","total":"7.50"}' in (home / "rows" / "rows.jsonl").read_text()
    assert "answers again" in done.stderr
    assert not (home / ".local" / "opt").exists() or not list((home / ".local" / "opt").iterdir())
    assert (home / ".local" / "share" / "stillroom" / "models" / "orders-noop").is_dir()
    assert {path.name for path in home.iterdir() if not path.name.startswith(".")} == {
        "builder.key", "documents", "rows", old_folder(machine), f"{old_folder(machine)}.tar",
    }  # fmt: skip


def old_folder(machine: SystemdMachine) -> str:
    """Name of the unpacked bundle."""
    return next((machine.root / "share" / "came").glob("*.tar")).stem


def test_root_installs_and_the_service_runs_when_a_document_comes(machine: SystemdMachine) -> None:
    service = commands("Run a folder whenever documents come")
    come = f"""cp {SHARE}/came/documents/a.txt /srv/bills/in
read come <{SHARE}/pipe
systemctl start stillroom-batch-bills.service
"""
    script = f"cd {SHARE}/came\n({commands('Install')})\n({WAITING})\n{service}{come}"
    done = machine.run(f"set -ex\n{script}")
    assert done.returncode == 0, done.stderr + machine.said
    rows = (machine.root / "srv" / "bills" / "rows" / "rows.jsonl").read_text()
    assert '"fields":{"number":"7","total":"7.50"}' in rows
    assert "1 of 1 documents finished" in machine.said


def test_units_of_a_person_run_under_his_own_systemd(machine: SystemdMachine) -> None:
    """The walls that need no root: system calls, memory, sockets, namespaces."""
    person = """set -ex
sh stillroom-0.1.0-linux-x86_64/install.sh --key builder.key
mkdir rows
~/.local/opt/stillroom/current/systemd/units.sh bills --task ~/.local/opt/stillroom/current/tasks/orders \\
    --input ~/documents --output ~/rows --user-units
"""
    control = "set -ex\n" + "\n".join(
        f"systemctl --user {words}" for words in ("daemon-reload", "start stillroom-batch-bills.service")
    )
    for name, text in (("person", person), ("control", control)):
        (machine.root / "share" / name).write_text(text)
    manager = "/lib/systemd/systemd --user --log-target=null"
    script = f"""useradd --create-home --uid 1234 ann
cp -r {SHARE}/came/* /home/ann
(cd /home/ann && tar -xf *.tar)
chown -R ann: /home/ann
install -d -o ann -m 0700 /run/user/1234
printf '[Unit]\\nDefaultDependencies=no\\n[Service]\\nType=notify\\nUser=ann\\nDelegate=yes\\n\\
Environment=HOME=/home/ann XDG_RUNTIME_DIR=/run/user/1234\\nExecStart={manager}\\n' >/etc/systemd/system/manager.service
{PERSON} sh {SHARE}/person
systemctl daemon-reload
systemctl start manager.service
{PERSON} XDG_RUNTIME_DIR=/run/user/1234 sh {SHARE}/control
"""
    done = machine.run(f"set -ex\n{script}")
    assert done.returncode == 0, done.stderr
    rows = (machine.root / "home" / "ann" / "rows" / "rows.jsonl").read_text()
    assert '"fields":{"number":"7","total":"7.50"}' in rows
