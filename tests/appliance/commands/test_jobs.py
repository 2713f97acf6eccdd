"""`stillroom jobs` and the ends of `stillroom run` as processes: data on stdout, exit codes, signals."""

import json
import os
import signal
import subprocess
import sys

import pytest

from appliance.jobs.job import FallbackConfig, JobConfig, read_config
from appliance.jobs.ledger import list_jobs
from appliance.jobs.states import State
from tests.appliance.batch_fixtures import TASK, Bench, job_dir_of

HOLD = "HOLD THE ENGINE\nnumber: 1\n"


def told(done: "subprocess.CompletedProcess[str]", exit_code: int = 0) -> dict[str, object]:
    """The one JSON object on stdout."""
    assert done.returncode == exit_code, done.stderr
    (line,) = done.stdout.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_every_verb_prints_one_object_and_nothing_else(bench: Bench) -> None:
    bench.write_orders(2)
    bench.write("long.txt", "word " * 1001)
    first = told(bench.run("--json"), 3)
    job = str(first["job"])
    assert told(bench.call("jobs", "pause", "orders", "--json")) == {"job": job, "state": "done"}
    assert told(bench.call("jobs", "cancel", "orders", "--json")) == {"job": job, "state": "done"}
    bench.write("long.txt", "number: short now\n")
    retried = told(bench.call("jobs", "retry", "orders", "--json"))
    assert (retried["done"], retried["failed"], retried["new_documents"]) == (3, 0, 1)
    resumed = told(bench.call("jobs", "resume", "orders", "--json"))
    assert (resumed["done"], resumed["new_documents"]) == (3, 0)
    shown = told(bench.call("jobs", "show", "orders", "--document", "long.txt", "--json"))
    assert (shown["state"], [row["error"] for row in shown["superseded"]]) == ("done", ["too_long"])  # type: ignore[attr-defined]
    assert told(bench.call("jobs", "remove", "orders", "--yes", "--json")) == {"removed": job}


def test_rows_may_not_become_documents(bench: Bench) -> None:
    bench.write_orders(1)
    words = ["run", str(bench.task_path), str(bench.documents_dir), "--model", str(bench.artifact_dir)]
    done = bench.call(*words, "--out", str(bench.documents_dir / "rows"))
    assert done.returncode == 2
    assert "the output folder" in done.stderr
    assert "lies in the folder of documents" in done.stderr
    assert list_jobs(bench.settings) == []
    hidden_dir = bench.documents_dir / ".rows"
    assert bench.call(*words, "--out", str(hidden_dir)).returncode == 0
    assert len((hidden_dir / "rows.jsonl").read_text().splitlines()) == 1


def test_exported_and_merged_rows_may_not_become_documents(bench: Bench) -> None:
    bench.write_orders(2)
    job = str(told(bench.run("--shard", "1/1", "--json"))["job"])
    names = sorted(os.listdir(bench.documents_dir))
    for verb, words in (("export", [job]), ("join", [str(bench.out_dir / "shard-1-of-1")])):
        done = bench.call("jobs", verb, *words, "--out", str(bench.documents_dir / "rows"))
        assert done.returncode == 2
        assert "lies in the folder of documents" in done.stderr
    assert sorted(os.listdir(bench.documents_dir)) == names


@pytest.mark.parametrize("empty", ["documents", "out"])
def test_folder_whose_name_is_empty_is_not_the_current_one(bench: Bench, empty: str) -> None:
    """What a script hands over whose variable is not set."""
    documents, out = ("", "rows") if empty == "documents" else (str(bench.documents_dir), "")
    done = bench.call("run", str(bench.task_path), documents, "--out", out, "--model", str(bench.artifact_dir))
    assert done.returncode == 2
    assert "the name is empty" in done.stderr
    assert list_jobs(bench.settings) == []


def test_number_that_is_none_is_refused_before_it_is_written_down(bench: Bench) -> None:
    bench.write_orders(1)
    told(bench.run("--json"))
    done = bench.run("--settle", "nan")
    assert done.returncode == 2
    assert "'--settle': nan is not a number" in done.stderr
    assert told(bench.call("jobs", "show", "orders", "--json"))["done"] == 1


def test_run_without_a_place_for_the_rows_is_a_usage_error(bench: Bench) -> None:
    done = bench.call("run", str(bench.task_path), str(bench.documents_dir), "--model", str(bench.artifact_dir))
    assert done.returncode == 2
    assert "--preview 3" in done.stderr


def test_terminal_that_goes_away_stops_the_run_gently(bench: Bench) -> None:
    bench.write("0000.txt", HOLD)
    for number in range(1, 100):
        bench.write(f"{number:04}.txt")
    # With one reader the document that holds the engine is the first in it.
    # Whoever runs the tests may do so under nohup, which children inherit.
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        process = bench.start(*bench.run_arguments("--workers", "1"))
    finally:
        signal.signal(signal.SIGHUP, inherited)
    bench.wait_until_held()
    os.kill(process.pid, signal.SIGHUP)
    bench.release()
    process.communicate(timeout=120)
    assert process.returncode == 130
    (job,) = list_jobs(bench.settings)
    assert job.state is State.INTERRUPTED
    assert 0 < job.done < 100


def test_run_under_nohup_outlives_the_terminal(bench: Bench) -> None:
    bench.write("0000.txt", HOLD)
    bench.write("0001.txt")
    code = "import sys; from appliance.cli import main; sys.exit(main())"
    words = ["nohup", sys.executable, "-c", code, *bench.run_arguments()]
    process = subprocess.Popen(
        words, env=bench.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    bench.wait_until_held()
    os.kill(process.pid, signal.SIGHUP)
    bench.release()
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert len(bench.rows()) == 2


def test_run_without_standard_streams_writes_its_rows(bench: Bench) -> None:
    """As a scheduler may start it; nothing that is opened later may become standard error."""
    bench.write_orders(2)
    code = "import os, sys; from appliance.cli import main; code = main(); print(os.readlink('/proc/self/fd/2')); "
    words = ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", sys.executable, "-c", code + "sys.exit(code)"]
    done = subprocess.run([*words, *bench.run_arguments()], env=bench.environment, check=False, timeout=120)
    assert done.returncode == 0
    assert len(bench.rows()) == 2
    (job,) = list_jobs(bench.settings)
    assert job.state is State.DONE


def test_job_that_never_began_is_interrupted_and_resumes(bench: Bench) -> None:
    bench.write_orders(1)
    told(bench.run("--json"))
    (directory,) = bench.settings.jobs_dir.iterdir()
    for path in directory.glob("job.db*"):
        path.unlink()
    (job,) = list_jobs(bench.settings)
    assert (job.state, job.message) == (State.INTERRUPTED, f"job {directory.name} has not begun")
    assert told(bench.call("jobs", "resume", "orders", "--json"))["done"] == 1


def test_configuration_is_read_as_it_was_written(bench: Bench) -> None:
    fallback = FallbackConfig("f", float("inf"), "m", "p", cap_tokens=10**15, cap_money=1e-7)
    config = JobConfig(
        "orders-1", "h", '/d "quoted" \\ \x7f\n', "/m", "m", "n", True, "all", "/o", "jsonl", 0, settle_seconds=1e16,
        fallback=fallback,
    )  # fmt: skip
    assert read_config(job_dir_of(bench.settings, config, TASK.encode())) == config


@pytest.mark.parametrize("missing", ["job", "document"])
def test_what_is_not_there_is_a_usage_error(bench: Bench, missing: str) -> None:
    config = JobConfig("orders-1", "h", "/d", "/m", "m", "n", False, "all", "/o", "jsonl", 0)
    job_dir_of(bench.settings, config, TASK.encode())
    bench.call("jobs", "pause", "orders-1")
    words = ["jobs", "show", "orders-1", "--document", "x.txt"] if missing == "document" else ["jobs", "pause", "x"]
    done = bench.call(*words)
    assert done.returncode == 2
    assert f"no {missing} " in done.stderr or f"no {missing} is called" in done.stderr
