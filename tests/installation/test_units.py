"""The systemd units: rendered for a prefix, accepted by systemd, shut off as far as a batch can be."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT_DIR = Path(__file__).parents[2]
ANALYZE = shutil.which("systemd-analyze")
MOST_EXPOSED = 1.0
"""`systemd-analyze security` gives 0 (closed) to 10 (open); measured is 0.3 with systemd 252."""
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


@dataclass(frozen=True)
class Site:
    """A prefix with a release, and the folders of a batch."""

    root: Path

    def render(self, *options: str, name: str = "bills", path: str = "") -> "subprocess.CompletedProcess[str]":
        """Writes the units into the folder `units`."""
        folders = ["--task", self.root / "task.toml", "--input", self.root / "in", "--output", self.root / "rows"]
        command = [
            str(shutil.which("sh")),
            self.prefix / "current" / "systemd" / "units.sh",
            name,
            *folders,
            "--out",
            self.root / "units",
        ]
        environ = {"PATH": path or os.environ["PATH"], "HOME": str(self.root)}
        return subprocess.run(
            [*map(str, command), *options], env=environ, capture_output=True, text=True, check=False, timeout=60
        )

    @property
    def prefix(self) -> Path:
        return self.root / "prefix"

    def unit(self, kind: str, name: str = "bills") -> str:
        """The text of a rendered unit."""
        return (self.root / "units" / f"stillroom-batch-{name}.{kind}").read_text()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    release_dir = tmp_path / "prefix" / "releases" / "0.1.0-abcdef01"
    (release_dir / "bin").mkdir(parents=True)
    (release_dir / "bin" / "stillroom").write_text("#!/bin/sh\n")
    (release_dir / "bin" / "stillroom").chmod(0o755)
    (release_dir / "docs").mkdir()
    (release_dir / "docs" / "install.md").write_text("")
    (release_dir / "RELEASE").write_text(f"version=0.1.0\nstate={tmp_path}/state\n")
    shutil.copytree(ROOT_DIR / "packaging" / "systemd", release_dir / "systemd")
    (tmp_path / "prefix" / "current").symlink_to("releases/0.1.0-abcdef01")
    for name in ("in", "rows", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "task.toml").write_text("")
    return Site(tmp_path)


def settings(text: str) -> dict[str, list[str]]:
    """Settings of a unit, with all their values."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if name := re.match(r"([A-Za-z]+)=(.*)", line):
            found.setdefault(name[1], []).append(name[2])
    return found


def test_units_name_the_installed_prefix_and_hold_no_mark_of_the_template(site: Site) -> None:
    done = site.render("--model", "bills-q8", "--user", "root")
    assert done.returncode == 0, done.stderr
    texts = [site.unit(kind) for kind in ("service", "path", "timer")]
    assert not any(re.search(r"@[A-Z]+@", text) for text in texts)
    service = settings(texts[0])
    assert service["ExecStart"] == [
        f"{site.prefix}/current/bin/stillroom run {site.root}/task.toml {site.root}/in"
        f" --out {site.root}/rows --model bills-q8"
    ]
    assert service["Environment"] == [f"STILLROOM_HOME={site.root}/state"]
    assert settings(texts[1])["PathChanged"] == [f"{site.root}/in"]
    assert settings(texts[2])["OnCalendar"] == ["hourly"]
    assert "enable --now stillroom-batch-bills.path stillroom-batch-bills.timer" in done.stderr


def test_service_writes_rows_and_state_and_nothing_else(site: Site) -> None:
    site.render()
    service = settings(site.unit("service"))
    assert service["ReadWritePaths"] == [f"{site.root}/state {site.root}/rows"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["PrivateNetwork"] == ["yes"]
    assert service["RestrictAddressFamilies"] == ["AF_UNIX"]


@needs_systemd
@pytest.mark.parametrize("options", [[], ["--gpu"]], ids=["cpu", "gpu"])
def test_systemd_accepts_the_units(site: Site, options: list[str]) -> None:
    assert site.render("--user", "root", *options).returncode == 0
    paths = sorted(map(str, (site.root / "units").iterdir()))
    done = subprocess.run([str(ANALYZE), "verify", "--man=no", *paths], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "stillroom" in line or str(site.root) in line]
    assert (done.returncode, said) == (0, [])


@needs_systemd
def test_systemd_accepts_the_units_of_a_person(site: Site) -> None:
    assert site.render("--user-units").returncode == 0
    paths = sorted(map(str, (site.root / "units").iterdir()))
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(site.root)}
    command = [str(ANALYZE), "--user", "verify", "--man=no", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    said = [line for line in done.stderr.splitlines() if "stillroom" in line]
    assert (done.returncode, said) == (0, [])
    service = settings(site.unit("service"))
    assert "User" not in service
    assert "PrivateNetwork" not in service
    assert service["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert settings(site.unit("path"))["WantedBy"] == ["default.target"]


@needs_systemd
def test_exposure_of_the_service_is_small(site: Site) -> None:
    site.render("--user", "nobody")
    unit = site.root / "units" / "stillroom-batch-bills.service"
    command = [str(ANALYZE), "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Unknown" in done.stderr or "unrecognized" in done.stderr:
        pytest.skip("this systemd rates no files: 250 or newer does")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED


def test_homes_are_hidden_but_for_what_the_run_needs(site: Site) -> None:
    """The prefix of this test lies under no home, so a folder under /root is asked for that exists."""
    home_dir = Path("/root") if os.access("/root", os.R_OK) else Path.home()
    if not str(home_dir).startswith(("/root", "/home")):
        pytest.skip("no home folder lies where systemd looks for homes")
    site.render("--input", str(home_dir))
    service = settings(site.unit("service"))
    assert service["ProtectHome"] == ["tmpfs"]
    assert service["BindReadOnlyPaths"] == [f"{site.prefix} {home_dir} {site.root}/task.toml"]


def test_python_in_a_home_stays_in_sight(site: Site) -> None:
    config_path = site.prefix / "current" / "venv" / "pyvenv.cfg"
    config_path.parent.mkdir()
    config_path.write_text("home = /home/ann/python/bin\nversion = 3.11.7\n")
    assert site.render().returncode == 0
    service = settings(site.unit("service"))
    assert service["ProtectHome"] == ["tmpfs"]
    bound = service["BindReadOnlyPaths"][0].split()
    assert bound == [str(site.prefix), f"{site.root}/in", f"{site.root}/task.toml", "/home/ann/python"]


def test_folders_below_tmp_are_bound_into_the_private_one(site: Site) -> None:
    if not str(site.root).startswith(("/tmp/", "/var/tmp/")):
        pytest.skip("the folder of this test does not lie below /tmp")
    assert site.render().returncode == 0
    service = settings(site.unit("service"))
    assert service["PrivateTmp"] == ["yes"]
    assert service["ProtectHome"] == ["yes"]
    assert service["BindPaths"] == [f"{site.root}/state {site.root}/rows"]


def test_units_name_where_links_lead(site: Site) -> None:
    """A wall is built around a place: behind a link into a home it would stand in the wrong one."""
    (site.root / "disk").mkdir()
    (site.root / "link").symlink_to("disk")
    assert site.render("--output", str(site.root / "link")).returncode == 0
    service = settings(site.unit("service"))
    assert service["ReadWritePaths"] == [f"{site.root}/state {site.root}/disk"]
    assert f"{site.root}/link" not in site.unit("service")


def test_output_that_a_link_leads_into_the_input_is_refused(site: Site) -> None:
    (site.root / "in" / "rows").mkdir()
    (site.root / "link").symlink_to("in/rows")
    done = site.render("--output", str(site.root / "link"))
    assert done.returncode == 2
    assert "lies in the input folder" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input", "/does/not/exist"], "there is no folder /does/not/exist"),
        (["--input", "relative"], "not a path from the root on"),
        (["--output", "/tmp/with blank"], "cannot be in a unit"),
        (["--output", "/tmp/per%h"], "cannot be in a unit"),
        (["--schedule", "hourly\nExecStart=/bin/sh"], "cannot be in a unit"),
        (["--user", "root\nGroup=disk"], "cannot be in a unit"),
        (["--model", "m --unsafe"], "cannot be in a unit"),
        (["--model", "-v"], "cannot be in a unit"),
        (["--user", "-v"], "cannot be in a unit"),
        (["second"], "two names are given, bills and second"),
        (["--nonsense"], "no option is called --nonsense"),
    ],
)
def test_what_cannot_be_in_a_unit_is_refused(site: Site, options: list[str], message: str) -> None:
    done = site.render(*options)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (site.root / "units").exists()


@needs_systemd
@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("25:00", "is none that systemd reads: Failed to parse calendar specification '25:00': Invalid argument"),
        ("every day", "is none that systemd reads"),
        ("hourly daily", "is none that systemd reads"),
        ("*-*-* 08:00:00 Nowhere/Land", "is none that systemd reads"),
        ("0 8 * * *", "is none that systemd reads"),
        ("-h", "is none that systemd reads"),
        ("--version", "is none that systemd reads"),
        ("2020-01-01", "never comes again"),
        ("*-02-30", "never comes again"),
    ],
)
def test_schedule_that_systemd_does_not_keep_is_refused_before_anything_is_written(
    site: Site, schedule: str, reason: str
) -> None:
    done = site.render("--schedule", schedule)
    assert done.returncode == 2
    assert f"the schedule '{schedule}' {reason}" in done.stderr
    assert not (site.root / "units").exists()


@needs_systemd
@pytest.mark.parametrize("schedule", ["hourly", "Mon..Fri 08:00", "*:0/15", "Mon *-*-* 06:30:00 UTC"])
def test_schedule_is_said_with_its_next_time(site: Site, schedule: str) -> None:
    done = site.render("--schedule", schedule)
    assert done.returncode == 0, done.stderr
    assert f"schedule {schedule}: next on " in done.stderr
    assert f"OnCalendar={schedule}\n" in site.unit("timer")


def test_schedule_is_not_checked_where_nothing_can_check_it(site: Site, tmp_path: Path) -> None:
    tools_dir = tmp_path / "tools"
    tools_dir.mkdir()
    for name in ("sh", "sed", "head", "dirname", "readlink", "mkdir", "chmod", "mv", "cat"):
        (tools_dir / name).symlink_to(str(shutil.which(name)))
    done = site.render("--schedule", "25:00", path=str(tools_dir))
    assert done.returncode == 0, done.stderr
    assert "note: systemd-analyze is not here, so nobody has checked the schedule 25:00" in done.stderr


def test_output_in_the_input_folder_is_refused(site: Site) -> None:
    (site.root / "in" / "rows").mkdir()
    done = site.render("--output", str(site.root / "in" / "rows"))
    assert done.returncode == 2
    assert "lies in the input folder" in done.stderr


def test_state_in_the_input_folder_is_refused_and_a_user_that_is_not_there_is_said(site: Site) -> None:
    done = site.render("--user", "nobody-of-that-name")
    assert done.returncode == 0, done.stderr
    assert "note: there is no user nobody-of-that-name here" in done.stderr
    (site.root / "in" / "state").mkdir()
    done = site.render("--state", str(site.root / "in" / "state"))
    assert (done.returncode, "lies in the input folder" in done.stderr) == (2, True)
