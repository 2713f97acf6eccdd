"""A verdict is about certain bytes, processors and libraries: whatever does not fit is refused or does not count."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from appliance.ground.errors import NotAllGood, UsageError
from appliance.ground.settings import Settings, load_settings
from appliance.models import approval, compute_class
from appliance.models.approval import how_to_approve, is_approved, verdict_words, why_not_approved
from appliance.models.checking import Level, check_import
from appliance.models.manifest import ArtifactError, read_manifest, rewrite_manifest, verify_artifact, write_artifact
from appliance.models.selection import verify_chosen
from appliance.models.store import Store
from appliance.models.verdict import CarryOver, ComputeClass, Verdict, sealed
from tests.appliance.model_fixtures import GOOD, LINEAGE, judge_as, make_artifact

ELSEWHERE = ComputeClass("arm64 SVE", "llama-cpp-python 0.0.1", 1)


@pytest.fixture
def artifact_dir(tmp_path: Path) -> Path:
    return make_artifact(tmp_path / "orders-q8")


@pytest.fixture
def settings(home_dir: Path) -> Settings:
    return load_settings({"STILLROOM_HOME": str(home_dir)})


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the manifest as a hand would."""
    path = directory / "manifest.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def typed_in(values: dict[str, Any]) -> None:
    values["verdict"] = {"verdict": "READY"}


def of_former_version(values: dict[str, Any]) -> None:
    """As version 1 wrote it: the identity of lineage and settings alone, the verdict without what it is about."""
    import hashlib

    parts = {key: values["lineage"].get(key, "") for key in LINEAGE}
    parts |= {key: values[key] for key in ("quantization", "target", "prompt_form", "task_hash")}
    values["identity"] = hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    for key in ("identity", "compute", "carried", "answers", "seal"):
        values["verdict"].pop(key)
    values["version"] = 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(typed_in, "it does not name the files", id="typed in"),
        pytest.param(lambda v: v["verdict"].update(documents=9999), "was changed after the gate", id="more documents"),
        pytest.param(lambda v: v["verdict"].update(low=0.99), "was changed after the gate", id="better number"),
        pytest.param(lambda v: v["verdict"].update(labelled_sha256="c" * 64), "was changed", id="other labelled file"),
        pytest.param(lambda v: v["verdict"]["compute"].update(processor="any"), "was changed", id="other processor"),
        pytest.param(lambda v: v["verdict"].update(identity="c" * 64), "it is about model 'cccc", id="other model"),
        pytest.param(lambda v: v["verdict"].update(verdict="ready"), "'ready' is no verdict", id="other word"),
        pytest.param(lambda v: v["verdict"].update(seal=""), "was changed after the gate", id="no seal"),
    ],
)
def test_verdict_that_no_gate_wrote_is_refused_everywhere(
    artifact_dir: Path, settings: Settings, change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    edit(artifact_dir, change)
    with pytest.raises(ArtifactError, match="holds a verdict that no gate wrote about these files: ") as refusal:
        verify_artifact(artifact_dir)
    assert problem in refusal.value.message
    assert "`stillroom gate`" in refusal.value.hint
    with pytest.raises(ArtifactError):
        Store(settings).add(artifact_dir)
    assert not check_import(settings, artifact_dir).good


@pytest.mark.parametrize(
    "wrong",
    [
        {"low": 0.95}, {"low": 0.5}, {"documents": 0}, {"fields": 0}, {"basis": ""}, {"labelled_sha256": ""},
        {"estimate": 7.0}, {"compute": ComputeClass()},
    ],
    ids=str,
)  # fmt: skip
def test_sealed_ready_that_does_not_follow_from_its_numbers_is_refused(
    artifact_dir: Path, wrong: dict[str, Any]
) -> None:
    manifest = read_manifest(artifact_dir)
    verdict = replace(replace(GOOD, identity=manifest.identity, compute=ELSEWHERE), **wrong)
    rewrite_manifest(artifact_dir, replace(manifest, verdict=sealed(verdict)))
    with pytest.raises(ArtifactError, match="holds a verdict that no gate wrote"):
        read_manifest(artifact_dir)


def test_verdict_of_one_artifact_does_not_hold_for_another(artifact_dir: Path, tmp_path: Path) -> None:
    other_dir = make_artifact(tmp_path / "other", content=b"other", ready=False)
    judged = asdict(read_manifest(artifact_dir))["verdict"]
    edit(other_dir, lambda values: values.update(verdict=judged))
    with pytest.raises(ArtifactError, match="it is about model"):
        read_manifest(other_dir)
    # Written through the program it is left out: the copies are not the files that were judged.
    files = {"model.gguf": other_dir / "model.gguf", "task.toml": other_dir / "task.toml"}
    assert write_artifact(tmp_path / "third", read_manifest(artifact_dir), files).verdict is None


def test_ready_does_not_carry_over_to_another_class_by_itself(artifact_dir: Path, settings: Settings) -> None:
    manifest = judge_as(artifact_dir, read_manifest(artifact_dir), replace(GOOD, compute=ELSEWHERE))
    here = compute_class.compute_class(manifest)
    assert not is_approved(manifest)
    reason = why_not_approved(manifest)
    assert "READY on arm64 SVE with llama-cpp-python 0.0.1" in reason
    assert f"this is {here.processor} with {here.library}" in reason
    assert how_to_approve(manifest, "q8") == (
        "carry the verdict over with `stillroom gate TASK q8 --quick` and the same labelled rows"
    )
    assert verdict_words(manifest) == "READY on 120 documents, but not here"
    store = Store(settings)
    store.add(artifact_dir)
    (note,) = (each for each in check_import(settings, artifact_dir).findings if each.check == "verdict")
    assert (note.level, note.message) == (Level.NOTE, reason)
    with pytest.raises(NotAllGood, match="model orders-q8 cannot be activated: it was found READY on"):
        store.activate("orders-q8")
    assert store.activate("orders-q8", unsafe=True).active


def test_carried_over_verdict_holds_on_both_classes(artifact_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read_manifest(artifact_dir)
    here = compute_class.compute_class(manifest)
    carried = CarryOver(here, 59, "2026-02-02T00:00:00Z")
    manifest = judge_as(artifact_dir, manifest, replace(GOOD, compute=ELSEWHERE, carried=(carried,)))
    assert read_manifest(artifact_dir) == manifest
    assert is_approved(manifest)
    monkeypatch.setattr(approval, "compute_class", lambda _manifest: ELSEWHERE)
    assert is_approved(manifest)
    for further in (replace(here, library="llama-cpp-python 0.3.37"), replace(here, program=here.program + 1)):
        monkeypatch.setattr(approval, "compute_class", lambda _manifest, further=further: further)
        assert "it was found READY on" in why_not_approved(manifest)


def test_unknown_processor_approves_nothing_even_where_it_was_unknown_before(
    artifact_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = ComputeClass(compute_class.UNKNOWN, "llama-cpp-python 0.3.36", 1)
    manifest = judge_as(artifact_dir, read_manifest(artifact_dir), replace(GOOD, compute=unknown))
    monkeypatch.setattr(approval, "compute_class", lambda _manifest: unknown)
    assert "it was found READY on unknown" in why_not_approved(manifest)


def test_artifact_of_the_former_version_stays_usable_without_its_verdict(
    artifact_dir: Path, settings: Settings
) -> None:
    bound = read_manifest(artifact_dir).identity
    edit(artifact_dir, of_former_version)
    manifest = verify_artifact(artifact_dir)
    assert manifest.identity == bound
    assert why_not_approved(manifest) == (
        "its verdict READY is of an earlier version, which did not bind it to the files"
    )
    assert how_to_approve(manifest) == "judge it again with `stillroom gate`"
    installed = Store(settings).add(artifact_dir)
    assert (installed.manifest.identity, installed.manifest.verdict, installed.manifest.version) == (bound, None, 2)
    former = json.loads((artifact_dir / "manifest.json").read_text())["identity"]
    for directory in (artifact_dir, installed.directory):
        with pytest.raises(ArtifactError, match="begun by an earlier version, which did not bind"):
            verify_chosen(directory, former)


def test_identity_typed_by_hand_is_refused_in_both_versions(artifact_dir: Path) -> None:
    edit(artifact_dir, lambda values: values.update(identity="ab" * 32))
    with pytest.raises(ArtifactError, match="names identity 'abababababababab', its contents have"):
        read_manifest(artifact_dir)
    edit(artifact_dir, lambda values: values.update(version=1, verdict=None))
    with pytest.raises(ArtifactError, match="names identity 'abababababababab', its contents have"):
        read_manifest(artifact_dir)


def test_newer_verdict_comes_with_the_same_model_and_an_older_one_does_not(
    artifact_dir: Path, settings: Settings
) -> None:
    store, manifest = Store(settings), read_manifest(artifact_dir)
    store.add(artifact_dir)
    newer = replace(GOOD, verdict="NOT READY", judged="2026-03-01T00:00:00Z")
    judge_as(artifact_dir, manifest, newer)
    assert store.add(artifact_dir).manifest.verdict == read_manifest(artifact_dir).verdict
    rewrite_manifest(artifact_dir, replace(manifest, verdict=None))
    judged = store.add(artifact_dir).manifest.verdict
    assert judged is not None
    assert judged.verdict == "NOT READY"


def test_copies_of_a_verdict_keep_each_others_classes(artifact_dir: Path, settings: Settings) -> None:
    store, manifest = Store(settings), read_manifest(artifact_dir)
    first, second = (CarryOver(replace(ELSEWHERE, program=n), 59, f"2026-02-0{n}T00:00:00Z") for n in (2, 3))
    judge_as(artifact_dir, manifest, replace(GOOD, carried=(first,)))
    store.add(artifact_dir)
    other = judge_as(artifact_dir, manifest, replace(GOOD, carried=(second,)))
    assert store.take_verdict(other) == ("orders-q8",)
    for installed in (store.get("orders-q8"), store.add(artifact_dir)):
        assert installed.manifest.verdict is not None
        assert set(installed.manifest.verdict.carried) == {first, second}


def test_verdict_goes_to_installed_copies_of_the_same_bytes_only(
    artifact_dir: Path, settings: Settings, tmp_path: Path
) -> None:
    store, manifest = Store(settings), read_manifest(artifact_dir)
    rewrite_manifest(artifact_dir, replace(manifest, verdict=None))
    store.add(artifact_dir)
    store.add(artifact_dir, "copy")
    store.add(make_artifact(tmp_path / "other", content=b"other", ready=False))
    assert store.take_verdict(manifest) == ("copy", "orders-q8")
    verdicts = {model.name: model.manifest.verdict for model in store.list()}
    assert verdicts == {"copy": manifest.verdict, "orders-q8": manifest.verdict, "other": None}


def test_answers_do_not_depend_on_the_order_of_the_fields() -> None:
    from appliance.models.verdict import answer_key

    first = answer_key("a" * 64, "text", {"a": "1", "b": None})
    assert first == answer_key("a" * 64, "text", {"b": None, "a": "1"})
    assert len({first, answer_key("a" * 64, "text", None), answer_key("b" * 64, "text", {"a": "1", "b": None}),
                answer_key("a" * 64, "other", {"a": "1", "b": None})}) == 4  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "machine", "name"),
    [
        ("fma avx avx2 avx512f avx512_vnni", "x86_64", "x86-64 AVX-512 VNNI"),
        ("avx avx2 avx512f", "x86_64", "x86-64 AVX-512"),
        ("avx avx2 avx_vnni", "x86_64", "x86-64 AVX-VNNI"),
        ("avx avx2", "x86_64", "x86-64 AVX2"),
        ("sse2", "x86_64", "x86-64"),
        ("fp asimd asimddp", "aarch64", "ARM NEON dot"),
        ("", "", "unknown"),
    ],
)
def test_class_of_a_processor(flags: str, machine: str, name: str) -> None:
    assert compute_class.processor_class(frozenset(flags.split()), machine) == name


def test_class_of_a_gguf_is_what_its_library_was_compiled_for(
    artifact_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(artifact_dir)
    assert compute_class.compute_class(manifest).library.startswith("llama-cpp-python ")
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path / "none"))
    compute_class._built_class.cache_clear()
    try:
        assert compute_class.compute_class(manifest).processor == compute_class.UNKNOWN
    finally:
        compute_class._built_class.cache_clear()


def test_only_ready_verdicts_are_carried_over(artifact_dir: Path, tmp_path: Path) -> None:
    from appliance.quality.carry_over import rows_to_repeat

    rows_path = tmp_path / "rows.jsonl"
    rows_path.write_text("{}\n")
    manifest = read_manifest(artifact_dir)
    for verdict in (None, Verdict("NOT READY", "gold", 0.5, 0.4, 0.9, 10, 10, "ab" * 32)):
        with pytest.raises(UsageError, match="only a verdict READY can be carried over"):
            rows_to_repeat(replace(manifest, verdict=verdict), [], rows_path)
    with pytest.raises(UsageError, match=r"the verdict rests on labelled rows with SHA-256 abab.*rows\.jsonl has"):
        rows_to_repeat(manifest, [], rows_path)
