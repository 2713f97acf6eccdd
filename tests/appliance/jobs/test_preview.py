"""What a person sees before a job starts."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from appliance.ground.errors import ResourceError, UsageError
from appliance.jobs import preview
from appliance.jobs.job_plan import JobRequest
from appliance.jobs.preview import count_documents, dry_run
from tests.appliance.batch_fixtures import Bench
from tests.appliance.model_fixtures import names_in


def request(bench: Bench, limit: int = 0) -> JobRequest:
    return JobRequest(bench.task_path, bench.documents_dir, Path("nowhere"), str(bench.artifact_dir), limit=limit)


def test_folder_is_counted_by_what_its_files_are(tmp_path: Path) -> None:
    for name, content in {
        "a.txt": b"plain words", "b.txt": b"%PDF-1.4 called a text", "c.pdf": b"%PDF-1.4", "d": b"\x7fELF\x02" * 40,
        "deep/e.html": b"<!doctype html><html><body>x</body></html>", ".hidden": b"not counted",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    counted = count_documents(tmp_path)
    assert {name: count.documents for name, count in counted.by_type.items()} == {
        "pdf": 2, "html": 1, "other": 1, "text": 1,
    }  # fmt: skip
    assert next(iter(counted.by_type)) == "pdf"
    assert (counted.documents, counted.looked_at, counted.complete) == (5, 5, True)
    assert counted.size_bytes == sum(count.size_bytes for count in counted.by_type.values()) == 11 + 22 + 8 + 200 + 42


def test_large_folder_is_counted_whole_and_looked_at_in_a_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "_SAMPLE", 10)
    for number in range(50):
        (tmp_path / f"{number}").write_text("words")
    counted = count_documents(tmp_path, limit_seconds=60)
    assert (counted.documents, counted.looked_at, counted.complete) == (50, 10, True)
    assert counted.by_type["text"].documents == 10


def test_count_ends_when_its_time_is_over(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number}").write_text("words")
    counted = count_documents(tmp_path, limit_seconds=0.0)
    assert (counted.documents, counted.complete) == (256, False)


def test_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder of documents"):
        count_documents(tmp_path / "none")


@pytest.mark.slow
def test_dry_run_gives_the_rows_of_a_job_and_leaves_nothing(bench: Bench) -> None:
    bench.write_orders(5)
    bench.write("0001.txt", "KILL THE ENGINE")
    settings = bench.settings
    before = names_in(bench.root)
    rows = dry_run(settings, request(bench), 3)
    assert [row.document for row in rows] == ["0000.txt", "0001.txt", "0002.txt"]
    assert [row.error for row in rows] == [None, "engine_died", None]
    assert [name for name in names_in(bench.root) if name not in before] == ["home/engine.lock"]
    bench.run("--limit", "3")
    assert bench.rows() == [json.loads(row.to_json()) for row in rows]


def test_dry_run_does_not_wait_for_an_engine_that_is_taken(bench: Bench) -> None:
    bench.write_orders(1)
    descriptor = os.open(bench.settings.home_dir / "engine.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(ResourceError, match="another process has the engine"):
            dry_run(bench.settings, request(bench), 1)
    finally:
        os.close(descriptor)


def test_dry_run_prints_rows_only_to_stdout(bench: Bench) -> None:
    bench.write_orders(3)
    words = ["run", str(bench.task_path), str(bench.documents_dir), "--model", str(bench.artifact_dir)]
    done = bench.call(*words, "--preview", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["document"] for line in done.stdout.splitlines()] == ["0000.txt", "0001.txt"]
    assert "preview of 2 documents: nothing was kept" in done.stderr
    assert not (bench.home_dir / "jobs").exists()


def test_dry_run_in_a_home_folder_that_cannot_be_written_says_so(bench: Bench) -> None:
    bench.write_orders(1)
    (bench.home_dir / "engine.lock").mkdir()
    with pytest.raises(ResourceError, match=r"cannot open .*engine\.lock"):
        dry_run(bench.settings, request(bench), 1)
