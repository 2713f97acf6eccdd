"""Findings of the doctor, for machines that are made up and for folders that are real."""

import os
from pathlib import Path

import pytest

from appliance.diagnosis import machine, program, state
from appliance.diagnosis.check import Check, CheckState, ok, worst
from appliance.documents.confinement import SandboxLevel, Wall
from appliance.documents.parser_probe import ALLOWED_KINDS, DENIED_KINDS
from appliance.documents.sandbox import SandboxReport
from appliance.ground.processor import cpu_flags
from appliance.ground.settings import SandboxPolicy, load_settings
from appliance.models.store import Store
from tests.appliance.model_fixtures import flip_byte, make_artifact

BUILD = (
    "CPU : SSE3 = 1 | SSSE3 = 1 | AVX = 1 | AVX2 = 1 | F16C = 1 | FMA = 1 | BMI2 = 1 | LLAMAFILE = 1 | REPACK = 1 | "
)
FLAGS = frozenset("pni ssse3 avx avx2 f16c fma bmi2".split())


def test_finding_that_is_not_ok_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="says nothing about what to do"):
        Check("disk", CheckState.FAIL, "full")


@pytest.mark.parametrize(
    ("states", "expected"),
    [("ok ok", "ok"), ("ok warn ok", "warn"), ("warn fail ok", "fail"), ("", "ok")],
    ids=["good", "warned", "failed", "none"],
)
def test_worst_finding_decides(states: str, expected: str) -> None:
    assert worst([Check("x", CheckState(word), "", "do") for word in states.split()]) == expected


def test_build_that_fits_the_processor_is_ok() -> None:
    check = program.compare_processor(BUILD, FLAGS)
    assert (check.state, check.message) == (CheckState.OK, "llama.cpp uses AVX, AVX2, BMI2, F16C, FMA, SSE3, SSSE3")


def test_build_for_a_larger_processor_fails_and_names_what_is_missing() -> None:
    check = program.compare_processor(BUILD + "AVX512 = 1 | AVX512_VNNI = 1 | ", FLAGS)
    assert check.state is CheckState.FAIL
    assert check.message == "llama.cpp uses AVX512, AVX512_VNNI, which this processor does not have"


def test_processor_that_is_not_known_is_not_called_too_small() -> None:
    check = program.compare_processor(BUILD, frozenset())
    assert (check.state, check.advice) == (CheckState.WARN, "check that /proc is mounted")


def test_build_without_vectors_is_named_slow() -> None:
    check = program.compare_processor("CPU : SSE3 = 1 | AVX2 = 0 | ", FLAGS)
    assert (check.state, check.message) == (
        CheckState.WARN, "llama.cpp was compiled without AVX2, FMA, F16C and will be slow"
    )  # fmt: skip


def test_build_for_arm_is_compared_with_names_of_arm() -> None:
    build = "CPU : NEON = 1 | ARM_FMA = 1 | DOTPROD = 1 | MATMUL_INT8 = 1 | SVE = 0 | "
    assert program.compare_processor(build, frozenset("asimd asimddp i8mm".split())).state is CheckState.OK
    assert program.compare_processor(build, frozenset("asimd asimddp".split())).state is CheckState.FAIL


def test_flags_are_those_that_all_processors_have(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nflags\t\t: avx avx2 fma\n\nprocessor : 1\nflags\t\t: avx fma\n")
    assert cpu_flags(path) == {"avx", "fma"}
    path.write_text("processor : 0\nFeatures\t: fp asimd\n")
    assert cpu_flags(path) == {"fp", "asimd"}
    assert cpu_flags(tmp_path / "missing") == frozenset()


def test_library_of_this_environment_fits_its_processor() -> None:
    assert program.check_processor().state is not CheckState.FAIL


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("8.2", ">=8.2", True), ("8.1.9", ">=8.2", False), ("2.10.0", ">=2.4,<3", True), ("3.0", ">=2.4,<3", False),
        ("0.3.36", "==0.3.36", True), ("0.3.36.post1", "==0.3.36", True), ("1.0", "==1.0.0", True), ("9", "", True),
    ],
)  # fmt: skip
def test_versions_are_compared_as_numbers(version: str, wanted: str, expected: bool) -> None:
    assert program._satisfies(version, wanted) is expected


def test_interpreter_libraries_and_sqlite_of_this_environment_are_good() -> None:
    for check in (program.check_interpreter(), program.check_libraries(), program.check_sqlite()):
        assert check.state is CheckState.OK, check.message


def test_machine_without_a_gpu_is_ok(tmp_path: Path) -> None:
    assert machine.check_gpu(tmp_path / "none") == ok("gpu", "none; models run on the processor")


def test_gpu_whose_driver_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = machine.check_gpu(tmp_path / "gpus")
    assert (check.state, check.advice) == (
        CheckState.WARN, "check the driver with `nvidia-smi`; models run on the processor until then"
    )  # fmt: skip
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'NVIDIA H100, 81559, 80000, 550.54'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    check = machine.check_gpu(tmp_path / "gpus", lambda: True)
    assert check == ok("gpu", "NVIDIA H100, 84 GB of 86 GB free, driver 550.54; ONNX models in fp32 run on it")
    check = machine.check_gpu(tmp_path / "gpus", lambda: False)
    assert check.state is CheckState.WARN
    assert "CUDA or cuDNN is missing" in check.message


GOOD = Wall(True, "stands")
MISSING = Wall(False, "the kernel does not have it")
DENIED = dict.fromkeys(DENIED_KINDS, "EPERM") | dict.fromkeys(ALLOWED_KINDS, "allowed")


@pytest.mark.parametrize(
    ("level", "attempts", "policy", "expected"),
    [
        pytest.param(SandboxLevel(GOOD, GOOD, GOOD, 7), DENIED, "required", "ok", id="all-walls"),
        pytest.param(SandboxLevel(GOOD, GOOD, MISSING), DENIED, "required", "warn", id="no-landlock"),
        pytest.param(SandboxLevel(GOOD, MISSING, GOOD, 7), DENIED, "required", "fail", id="no-filter"),
        pytest.param(SandboxLevel(GOOD, MISSING, GOOD, 7), DENIED, "best-effort", "warn", id="no-filter-but-allowed"),
        pytest.param(SandboxLevel(GOOD, GOOD, GOOD, 7), DENIED | {"open a socket": "allowed"}, "required", "fail",
                     id="a-hole"),
        pytest.param(SandboxLevel(GOOD, GOOD, GOOD, 7), {}, "required", "fail", id="probe-died"),
        pytest.param(SandboxLevel(GOOD, GOOD, GOOD, 7), DENIED | {"start a thread": "RuntimeError"}, "required", "warn",
                     id="no-threads"),
    ],
)  # fmt: skip
def test_sandbox_is_judged_by_its_walls_and_by_what_was_tried(
    level: SandboxLevel, attempts: dict[str, str], policy: str, expected: str
) -> None:
    check = machine.judge_sandbox(SandboxReport(level, attempts), SandboxPolicy(policy))
    assert check.state == expected
    if not level.landlock.in_force:
        assert "Landlock: missing, the kernel does not have it" in check.message
    if attempts.get("open a socket") == "allowed":
        assert "a parser could open a socket" in check.message


def test_home_of_its_owner_is_ok_and_one_that_others_can_enter_fails(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert state.check_home(home).state is CheckState.OK
    home.mkdir(mode=0o700)
    private = state.check_home(home)
    # As root everything is told, as root should not run this.
    assert private.state is (CheckState.WARN if os.geteuid() == 0 else CheckState.OK)
    home.chmod(0o755)
    check = state.check_home(home)
    assert (check.state, check.advice) == (CheckState.FAIL, f"chmod 700 {home}")
    assert list(home.iterdir()) == []


def test_home_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert state.check_home(tmp_path / "home").state is CheckState.FAIL


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_files_of_another_user_are_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    home.chmod(0o700)
    (home / "models" / "active.json").write_text("{}")
    os.chown(home / "models" / "active.json", 65534, 65534)
    check = state.check_home(home)
    assert check.state is CheckState.WARN
    assert "1 file" in check.message
    assert "models/active.json" in check.message
    os.chown(home, 65534, 65534)
    assert state.check_home(home).state is CheckState.FAIL


def test_kind_of_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    inner = tmp_path / "with space"
    inner.mkdir()
    shown = str(inner).replace(" ", "\\040")
    mounts.write_text(
        "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
        f"22 21 0:40 / {shown} rw - nfs4 server:/data rw\n"
        "23 21 0:41 / /elsewhere rw - tmpfs tmpfs rw\n"
    )
    assert state.file_system(inner / "home", mounts) == "nfs4"
    assert state.file_system(tmp_path, mounts) == "ext4"
    assert state.file_system(tmp_path, tmp_path / "missing") == ""


def test_disk_of_this_machine_has_a_size_and_a_kind(tmp_path: Path) -> None:
    check = state.check_disk(tmp_path / "not" / "there")
    assert " free for " in check.message


def test_models_are_verified_by_hash_or_by_size(tmp_path: Path, home_dir: Path) -> None:
    settings = load_settings(dict(os.environ))
    none = state.check_models(settings, quick=False)
    assert (none.state, none.message) == (CheckState.WARN, "no model is installed")
    store = Store(settings)
    store.add(make_artifact(tmp_path / "orders-q8"))
    assert state.check_models(settings, quick=False).advice.startswith("choose one with `stillroom models activate")
    store.activate("orders-q8")
    whole = state.check_models(settings, quick=False)
    assert (whole.state, whole.message) == (CheckState.OK, "1 model, every file has its SHA-256; 1 active")
    weights = home_dir / "models" / "orders-q8" / "model.gguf"
    flip_byte(weights)
    assert state.check_models(settings, quick=True).state is CheckState.OK
    damaged = state.check_models(settings, quick=False)
    assert damaged.state is CheckState.FAIL
    assert "1 of 1 model damaged: orders-q8: model.gguf has SHA-256" in damaged.message
    weights.unlink()
    assert state.check_models(settings, quick=True).state is CheckState.FAIL
    (home_dir / "models" / "orders-q8" / "manifest.json").write_text("{")
    assert "orders-q8: its manifest cannot be used: " in state.check_models(settings, quick=True).message


def test_active_model_without_a_verdict_is_told(tmp_path: Path) -> None:
    settings = load_settings(dict(os.environ))
    store = Store(settings)
    store.add(make_artifact(tmp_path / "a", ready=False))
    store.activate("a", unsafe=True)
    check = state.check_models(settings, quick=True)
    assert check.state is CheckState.WARN
    assert "active but not approved: a" in check.message


POLICY = """version = 1
enabled = {enabled}
data_classes = ["public"]
hosts = ["api.example.com"]
{more}
[caps.day]
documents = 10
"""


def test_egress_is_off_without_a_policy_and_broken_with_a_typo(tmp_path: Path, home_dir: Path) -> None:
    settings = load_settings(dict(os.environ))
    system = tmp_path / "etc"
    assert state.check_egress(settings, system) == ok(
        "egress", "nothing can leave this machine: it has no egress policy"
    )
    path = home_dir / "policy" / "egress.toml"
    path.parent.mkdir()
    path.touch(mode=0o600)
    path.write_text(POLICY.format(enabled="false", more=""))
    assert "does not say enabled = true" in state.check_egress(settings, system).message
    path.write_text(POLICY.format(enabled="true", more=""))
    allowed = state.check_egress(settings, system)
    assert allowed.state is CheckState.OK
    assert allowed.message == f"{path} lets data of class public leave to api.example.com"
    path.write_text(POLICY.format(enabled="true", more="hots = []"))
    broken = state.check_egress(settings, system)
    assert broken.state is CheckState.FAIL
    assert "hots" in broken.message


def test_damaged_record_of_egress_fails(home_dir: Path, tmp_path: Path) -> None:
    settings = load_settings(dict(os.environ))
    (home_dir / "egress").mkdir()
    (home_dir / "egress" / "2026-01-01.jsonl").write_text('{"version": 1, "sequence": 1, "hash": "wrong"}\n')
    check = state.check_egress(settings, tmp_path / "etc")
    assert check.state is CheckState.FAIL
    assert "the record of what left is damaged" in check.message
