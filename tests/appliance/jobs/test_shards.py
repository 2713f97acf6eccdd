"""Shards of one folder as jobs of their own, and the merge that makes them one result again."""

import json
import os
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from appliance.ground.errors import ResourceError, UsageError
from appliance.jobs.control import retry_failed
from appliance.jobs.job import job_dirs
from appliance.jobs.job_plan import JobRequest
from appliance.jobs.job_run import JobOutcome, export_rows, run_job, run_request
from appliance.jobs.joining import JoinOutcome, JoinRefused, join_jobs
from appliance.jobs.ledger import open_readonly
from appliance.jobs.output_owner import OWNER_NAME
from appliance.jobs.outputs import OutputFormat
from appliance.jobs.shards import Shard, parse_shard, shard_number
from tests.appliance.batch_fixtures import Bench

SHARDS = 3
DOCUMENTS = 16


def run_shard(bench: Bench, shard: str, limit: int = 0) -> JobOutcome:
    """Runs one shard, or with an empty name the whole folder, through the ordinary batch code."""
    request = JobRequest(
        bench.task_path, bench.documents_dir, bench.out_dir, str(bench.artifact_dir), limit=limit, settle_seconds=0,
        workers=1, shard=shard,
    )  # fmt: skip
    return run_request(bench.settings, request, lambda report: None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A folder with good, bad and strangely named documents, done in three shards and once as a whole; not changed."""
    bench = Bench(tmp_path_factory.mktemp("shards") / "bench")
    bench.write_orders(12)
    bench.write("sub/deep/z.txt")
    bench.write("broken.pdf", "%PDF-1.4 nothing")
    bench.write(b"bad-\xff.txt")
    bench.write("a\nb.txt")
    for shard in ("1/3", "2/3", "3/3", ""):
        run_shard(bench, shard)
    return bench


class Copy:
    """Copies of the finished shards' output folders and of the documents, for one test to change."""

    def __init__(self, finished: Bench, root: Path) -> None:
        self.documents_dir = root / "documents"
        shutil.copytree(finished.documents_dir, self.documents_dir)
        self.shard_dirs = [root / f"shard-{number}-of-{SHARDS}" for number in range(1, SHARDS + 1)]
        for directory in self.shard_dirs:
            shutil.copytree(finished.out_dir / directory.name, directory)
        self.out_dir = root / "merged"

    def merge(self, *formats: OutputFormat) -> JoinOutcome:
        return join_jobs(self.shard_dirs, self.out_dir, formats or (OutputFormat.JSONL,), self.documents_dir)

    def findings(self) -> list[tuple[str, str, str | None]]:
        """What the merge refuses for: kind, shard, document. Nothing is written then."""
        with pytest.raises(JoinRefused) as refused:
            self.merge()
        assert not self.out_dir.exists()
        return [(problem.kind.value, problem.shard, problem.document) for problem in refused.value.problems]

    def execute(self, number: int, *statements: str) -> None:
        """Changes the ledger of a shard."""
        connection = sqlite3.connect(self.shard_dirs[number - 1] / "job.db")
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()


@pytest.fixture
def copy(finished: Bench, tmp_path: Path) -> Copy:
    return Copy(finished, tmp_path)


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "-1/2", "1/2/3", "a/b", "1/501", "\u0661/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="shard"):
        parse_shard(text)


def test_each_path_has_one_shard_and_shards_are_even() -> None:
    paths = [f"folder/{number}.pdf".encode() for number in range(4000)]
    counts = Counter(shard_number(path, 4) for path in paths)
    assert set(counts) == {1, 2, 3, 4}
    # A share of a quarter has a standard deviation of 27 documents here; five of them are 137.
    assert all(abs(count - 1000) < 137 for count in counts.values())
    assert all(Shard(shard_number(path, 4), 4).holds(path) for path in paths)


def test_assignment_of_paths_to_shards_never_changes() -> None:
    # First 8 bytes of what `sha256sum` says, modulo 7, plus 1. Another assignment would make half-done shards useless.
    paths = (b"a.txt", b"b.txt", b"sub/c.pdf", b"bad-\xff.txt")
    assert [shard_number(path, 7) for path in paths] == [3, 2, 4, 4]


def test_merged_shards_equal_a_run_on_one_machine_in_every_format(finished: Bench, copy: Copy) -> None:
    formats = tuple(OutputFormat)
    outcome = copy.merge(*formats)
    assert (outcome.documents, outcome.failed, outcome.shards) == (DOCUMENTS, 1, SHARDS)
    (whole_dir,) = (path for path in job_dirs(finished.settings) if not _shard_of(path))
    for choice, path in zip(formats, outcome.output_paths, strict=True):
        assert path.read_bytes() == export_rows(whole_dir, finished.root / "whole", choice).read_bytes()
    report = json.loads((copy.out_dir / "merge.json").read_text())
    assert report["outputs"]["rows.jsonl"]["size_bytes"] == (copy.out_dir / "rows.jsonl").stat().st_size
    assert [shard["shard"] for shard in report["shards"]] == ["1/3", "2/3", "3/3"]
    assert sum(shard["documents"] for shard in report["shards"]) == DOCUMENTS
    written = {"merge.json", OWNER_NAME, *(f"rows.{name}" for name in formats)}
    assert {path.name for path in copy.out_dir.iterdir()} == written


def test_merge_command_takes_ids_and_folders_and_tells_what_it_wrote(finished: Bench, tmp_path: Path) -> None:
    ids = {_shard_of(path): path.name for path in job_dirs(finished.settings)}
    words = [ids["1/3"], ids["3/3"], str(finished.out_dir / "shard-2-of-3")]
    done = finished.call("jobs", "join", *words, "--out", str(tmp_path / "merged"))
    assert done.returncode == 3, done.stderr
    assert "joined 3 shards: 16 documents, 1 failed" in done.stderr
    assert done.stdout == ""
    assert len((tmp_path / "merged" / "rows.jsonl").read_text().splitlines()) == DOCUMENTS


def test_merge_command_lists_what_is_missing(finished: Bench, tmp_path: Path) -> None:
    first = str(finished.out_dir / "shard-1-of-3")
    arguments = ["jobs", "join", first, first, "--out", str(tmp_path / "merged")]
    shown = finished.call(*arguments)
    assert shown.returncode == 1
    assert "shard 1/3: is given twice" in shown.stderr
    assert "shard 2/3: is not among the given jobs" in shown.stderr
    assert "error: the shards do not make one complete result: 3 problems; nothing was written" in shown.stderr
    assert "hint: check shard 1/3, 2/3, 3/3: run" in shown.stderr
    told = json.loads(finished.call(*arguments, "--json").stdout)
    assert (told["state"], told["found"]) == ("refused", 3)
    assert told["problems"][1]["kind"] == "missing_shard"
    assert not (tmp_path / "merged").exists()


def test_new_changed_and_gone_documents_are_told_with_their_shard(copy: Copy) -> None:
    (copy.documents_dir / "0003.txt").write_text("number: changed\n")
    (copy.documents_dir / "0005.txt").unlink()
    (copy.documents_dir / "new.txt").write_text("number: new\n")
    assert copy.findings() == [
        ("changed_document", f"{shard_number(b'0003.txt', 3)}/3", "0003.txt"),
        ("gone_document", f"{shard_number(b'0005.txt', 3)}/3", "0005.txt"),
        ("missing_document", f"{shard_number(b'new.txt', 3)}/3", "new.txt"),
    ]


def test_first_and_last_documents_of_the_folder_are_checked_too(copy: Copy) -> None:
    (copy.documents_dir / "sub/deep/z.txt").unlink()
    (copy.documents_dir / "!first.txt").write_text("x")
    assert [kind for kind, _, _ in copy.findings()] == ["missing_document", "gone_document"]


def test_document_in_two_ledgers_is_told(copy: Copy) -> None:
    number = shard_number(b"0003.txt", 3)
    other = number % 3 + 1
    attach = f"ATTACH '{copy.shard_dirs[number - 1] / 'job.db'}' AS other"
    connection = sqlite3.connect(copy.shard_dirs[other - 1] / "job.db")
    connection.execute(attach)
    with connection:
        connection.execute(
            "INSERT INTO documents SELECT 999, path, size_bytes, modified_ns, sha256, state, crash_count, NULL"
            " FROM other.documents WHERE path = ?",
            (b"0003.txt",),
        )
        connection.execute(
            "INSERT INTO rows (document, error, row) SELECT 999, rows.error, rows.row FROM other.rows AS rows"
            " JOIN other.documents AS documents ON documents.id = rows.document WHERE path = ?",
            (b"0003.txt",),
        )
        connection.execute("UPDATE job SET total = total + 1, done = done + 1")
    connection.close()
    kinds = {kind for kind, _, document in copy.findings() if document == "0003.txt"}
    assert "repeated_document" in kinds


def test_document_in_the_wrong_shard_is_told(copy: Copy) -> None:
    for directory in copy.shard_dirs:
        path = directory / "job.toml"
        path.write_text(path.read_text().replace('"3/3"', '"2/3 "').replace('"2/3"', '"3/3"').replace("2/3 ", "2/3"))
    assert {kind for kind, _, _ in copy.findings()} == {"misplaced_document"}


def test_row_about_other_bytes_than_its_document_is_told(copy: Copy) -> None:
    number = shard_number(b"0003.txt", 3)
    copy.execute(number, f"UPDATE documents SET sha256 = '{'0' * 64}' WHERE path = CAST('0003.txt' AS BLOB)")
    assert copy.findings() == [("damaged_shard", f"{number}/3", "0003.txt")]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE job SET state = 'interrupted'", "UPDATE job SET total = total + 1"],
    ids=["stopped", "unfinished"],
)
def test_shard_that_has_not_finished_is_told(copy: Copy, statement: str) -> None:
    copy.execute(2, statement)
    assert copy.findings() == [("incomplete_shard", "2/3", None)]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("task", 'task_hash = "', 'task_hash = "0'),
        ("model", 'model = "', 'model = "0'),
        ("limit", "limit = 0", "limit = 7"),
        ("count", '"2/3"', '"2/4"'),
    ],
)
def test_shards_of_different_jobs_are_told(copy: Copy, name: str, before: str, after: str) -> None:
    path = copy.shard_dirs[1] / "job.toml"
    assert path.read_text().count(before) == 1
    path.write_text(path.read_text().replace(before, after))
    assert ("different_job", f"2/{4 if name == 'count' else 3}", None) in copy.findings()


def test_damaged_ledger_is_told_and_names_its_shard(copy: Copy) -> None:
    path = copy.shard_dirs[0] / "job.db"
    data = bytearray(path.read_bytes())
    data[4096:12288] = b"\x07" * 8192
    path.write_bytes(data)
    assert copy.findings() == [("damaged_shard", "1/3", None)]


def test_ledger_of_another_job_than_the_configuration_beside_it_is_told(copy: Copy) -> None:
    copy.execute(2, "UPDATE job SET identifier = 'orders-former'")
    assert copy.findings() == [("damaged_shard", "2/3", None)]


def test_job_over_the_whole_folder_is_no_shard(finished: Bench, tmp_path: Path) -> None:
    (whole_dir,) = (path for path in job_dirs(finished.settings) if not _shard_of(path))
    with pytest.raises(UsageError, match="is not a shard"):
        join_jobs([whole_dir], tmp_path / "merged", [OutputFormat.JSONL])


def test_folder_that_is_elsewhere_must_be_named(copy: Copy) -> None:
    for directory in copy.shard_dirs:
        path = directory / "job.toml"
        path.write_text(path.read_text().replace('documents"', 'not here"'))
    with pytest.raises(UsageError) as refused:
        join_jobs(copy.shard_dirs, copy.out_dir, [OutputFormat.JSONL])
    assert "--documents" in refused.value.hint
    assert copy.merge().documents == DOCUMENTS


def test_published_ledger_is_whole_private_and_keeps_no_text(finished: Bench) -> None:
    for number in range(1, SHARDS + 1):
        directory = finished.out_dir / f"shard-{number}-of-{SHARDS}"
        names = [OWNER_NAME, "job.db", "job.toml", "rows.jsonl", "task.toml"]
        assert sorted(path.name for path in directory.iterdir()) == names
        assert (directory / "job.db").stat().st_mode & 0o777 == 0o600
        assert b"an order" not in (directory / "job.db").read_bytes()
        with open_readonly(directory) as reader:
            assert reader.damage() is None


def test_limit_is_of_the_folder_and_not_of_each_shard(bench: Bench) -> None:
    bench.write_orders(8)
    shards = [run_shard(bench, f"{number}/2", limit=5) for number in (1, 2)]
    assert sum(shard.summary.total for shard in shards) == 5
    directories = [bench.out_dir / f"shard-{number}-of-2" for number in (1, 2)]
    assert join_jobs(directories, bench.root / "merged", [OutputFormat.JSONL]).documents == 5
    rows = [json.loads(line) for line in (bench.root / "merged" / "rows.jsonl").read_text().splitlines()]
    assert [row["document"] for row in rows] == [f"{number:04}.txt" for number in range(5)]


def test_another_machine_goes_on_where_a_shard_was_stopped(bench: Bench) -> None:
    bench.write_orders(12)
    before = run_shard(bench, "1/2", limit=6).summary.total
    assert before > 0
    shutil.rmtree(bench.settings.jobs_dir)
    after = run_shard(bench, "1/2")
    assert after.summary.total == after.summary.done == before + after.new_documents


def test_machine_that_is_behind_takes_what_another_published(bench: Bench, tmp_path: Path) -> None:
    bench.write_orders(12)
    run_shard(bench, "1/2", limit=6)
    behind_dir = tmp_path / "jobs of the machine that is behind"
    shutil.copytree(bench.settings.jobs_dir, behind_dir)
    assert run_shard(bench, "1/2").new_documents > 0
    shutil.rmtree(bench.settings.jobs_dir)
    behind_dir.rename(bench.settings.jobs_dir)
    assert run_shard(bench, "1/2").new_documents == 0


def test_retry_of_a_shard_is_not_undone_by_what_it_has_published(bench: Bench) -> None:
    bench.write_orders(4)
    bench.write("long.txt", "word " * 1001)
    run_shard(bench, "1/1")
    (directory,) = job_dirs(bench.settings)
    assert retry_failed(bench.settings, directory.name) == 1
    outcome = run_job(bench.settings, directory, lambda report: None)
    assert (outcome.new_documents, outcome.summary.done, outcome.summary.failed) == (1, 4, 1)
    with open_readonly(directory) as reader:
        entry = reader.document("long.txt")
        assert entry is not None
        assert len(reader.superseded_rows(entry.id)) == 1


def test_published_ledger_of_another_job_is_replaced_and_not_adopted(bench: Bench) -> None:
    bench.write_orders(4)
    run_shard(bench, "1/1")
    bench.documents_dir.rename(bench.root / "former")
    bench.documents_dir.mkdir()
    bench.write("x.txt")
    # The same path is the same job: its rows stay, and their documents are missing.
    assert run_shard(bench, "1/1").summary.total == 5
    moved = JobRequest(
        bench.task_path, bench.root / "former", bench.out_dir, str(bench.artifact_dir), settle_seconds=0, shard="1/1"
    )
    with pytest.raises(UsageError, match="holds the rows of job"):
        run_request(bench.settings, moved, lambda report: None)
    (bench.out_dir / "shard-1-of-1" / "rows.jsonl").unlink()
    outcome = run_request(bench.settings, moved, lambda report: None)
    assert (outcome.new_documents, outcome.summary.total) == (4, 4)


def test_output_folder_that_cannot_be_written_leaves_the_shard_resumable(bench: Bench) -> None:
    bench.write_orders(4)
    blocked_path = bench.out_dir / "shard-1-of-1" / "job.db"
    (blocked_path / "a folder where the file should be").mkdir(parents=True)
    with pytest.raises(ResourceError):
        run_shard(bench, "1/1")
    blocked_path.rename(bench.root / "elsewhere")
    (directory,) = job_dirs(bench.settings)
    assert run_job(bench.settings, directory, lambda report: None).new_documents == 0
    assert blocked_path.is_file()
    assert list(bench.root.rglob("*.part")) == []


def test_shard_that_cannot_be_meant_is_a_usage_error(bench: Bench) -> None:
    with pytest.raises(UsageError, match="no shard 5 of 4"):
        run_shard(bench, "5/4")
    assert not bench.out_dir.exists()
    assert not os.path.exists(bench.settings.jobs_dir)


def _shard_of(job_dir: Path) -> str:
    from appliance.jobs.job import read_config

    return read_config(job_dir).shard
