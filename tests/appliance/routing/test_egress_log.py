"""The record of what leaves: a chain that shows every change, whole after every kill, written before the sending."""

import hashlib
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.answering.answerer import answer_all
from appliance.engines.engine import Request
from appliance.ground.errors import ResourceError
from appliance.routing.egress_log import EgressLog, body_path, log_files, record_hash
from appliance.routing.egress_reading import Filter, read_body, read_records, requests, verify
from benchmarks.recorded_frontier import RecordedFrontier, Seen
from tests.appliance.frontier_fixtures import ANSWERS, FrontierBench, classify_task, frontier_bench

APPEND = """
import sys
from pathlib import Path
from appliance.routing.egress_log import EgressLog
log = EgressLog(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    with log.locked():
        appended = log.append({"kind": "test", "by": sys.argv[2], "number": number})
    log.make_durable(appended)
"""


@pytest.fixture
def bench(home_dir: Path) -> Iterator[FrontierBench]:
    with frontier_bench(home_dir) as made:
        yield made


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EgressLog]:
    made = EgressLog(tmp_path / "egress")
    yield made
    made.close()


def append(log: EgressLog, *numbers: int) -> None:
    for number in numbers:
        with log.locked():
            log.append({"kind": "test", "number": number})


def lines_of(directory: Path) -> tuple[Path, list[bytes]]:
    (path,) = log_files(directory)
    return path, path.read_bytes().splitlines(keepends=True)


def test_each_record_holds_the_hash_of_the_one_before(log: EgressLog, tmp_path: Path) -> None:
    append(log, 1, 2, 3)
    records = list(read_records(tmp_path / "egress"))
    assert [record["sequence"] for record in records] == [1, 2, 3]
    assert records[0]["previous"] == "0" * 64
    assert [record["previous"] for record in records[1:]] == [record["hash"] for record in records[:-1]]
    # Computed here again, apart from the code under test.
    plain = {key: value for key, value in records[1].items() if key != "hash"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert records[1]["hash"] == hashlib.sha256(text.encode()).hexdigest()
    found = verify(tmp_path / "egress")
    assert (found.good, found.records, found.head) == (True, 3, records[2]["hash"])


def test_folder_and_files_are_for_their_owner_only(log: EgressLog, tmp_path: Path) -> None:
    append(log, 1)
    log.keep_body("ab", b"text")
    directory = tmp_path / "egress"
    assert directory.stat().st_mode & 0o077 == 0
    for path in directory.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def changed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"number":2', b'"number":7'), *lines[2:]]


def rehashed(lines: list[bytes]) -> list[bytes]:
    record = json.loads(lines[1]) | {"number": 7}
    return [lines[0], json.dumps(record | {"hash": record_hash(record)}).encode() + b"\n", *lines[2:]]


@pytest.mark.parametrize(
    ("tamper", "place", "what"),
    [
        (changed, "line 2", "record 2 was changed"),
        (rehashed, "line 3", "record 3 does not follow record 2"),
        (lambda lines: lines[:1] + lines[2:], "line 2", "record 3 does not follow record 1"),
        (lambda lines: lines[1:], "line 1", "record 2 does not follow record 0"),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], "line 2", "record 3 does not follow record 1"),
        (lambda lines: [lines[0], lines[0], *lines[1:]], "line 2", "record 1 does not follow record 1"),
        (lambda lines: [lines[0], b"not json\n", *lines[1:]], "line 2", "not a valid record"),
        (lambda lines: [lines[0], b"[1, 2]\n", *lines[1:]], "line 2", "not a valid record"),
        (lambda lines: [lines[0], b"\n", *lines[1:]], "line 2", "not a valid record"),
        (lambda lines: [lines[0], lines[1][:-1], *lines[2:]], "line 2", "not a valid record"),
    ],
    ids=["changed", "rehashed", "taken out", "first taken out", "moved", "doubled", "no json", "list", "empty",
         "joined"],
)  # fmt: skip
def test_verify_names_the_first_broken_record(
    log: EgressLog, tmp_path: Path, tamper: Callable[[list[bytes]], list[bytes]], place: str, what: str
) -> None:
    append(log, 1, 2, 3, 4)
    path, lines = lines_of(tmp_path / "egress")
    path.write_bytes(b"".join(tamper(lines)))
    found = verify(tmp_path / "egress")
    assert not found.good
    assert f"{path.name} {place}: " in found.broken
    assert what in found.broken


def test_records_cut_off_the_end_are_found_with_a_hash_that_was_noted(log: EgressLog, tmp_path: Path) -> None:
    append(log, 1, 2, 3)
    head = verify(tmp_path / "egress").head
    path, lines = lines_of(tmp_path / "egress")
    path.write_bytes(b"".join(lines[:2]))
    assert verify(tmp_path / "egress").good
    found = verify(tmp_path / "egress", head)
    assert "cut off or replaced" in found.broken
    path.write_bytes(b"".join(lines))
    assert verify(tmp_path / "egress", head).good


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_torn_end_is_recognised_and_mended_by_the_next_writer(tmp_path: Path, cut: int) -> None:
    directory = tmp_path / "egress"
    first = EgressLog(directory)
    append(first, 1, 2, 3)
    first.close()
    path, lines = lines_of(directory)
    torn = lines[2][:cut]
    path.write_bytes(lines[0] + lines[1] + torn)
    found = verify(directory)
    assert (found.good, found.records, found.torn_bytes) == (True, 2, len(torn))
    second = EgressLog(directory)
    append(second, 4)
    second.close()
    found = verify(directory)
    assert (found.good, found.records, found.torn_bytes) == (True, 4, 0)
    mended = list(read_records(directory))[2]
    assert (mended["kind"], mended["bytes"], mended["torn"]) == ("mended", len(torn), torn.decode())


def test_file_that_holds_only_a_torn_record_is_mended(tmp_path: Path) -> None:
    directory = tmp_path / "egress"
    log = EgressLog(directory)
    append(log, 1)
    path, lines = lines_of(directory)
    path.write_bytes(lines[0][:30])
    append(log, 2)
    log.close()
    found = verify(directory)
    assert (found.good, found.records) == (True, 2)


def test_chain_goes_on_over_days_and_when_the_clock_goes_back(
    log: EgressLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    append(log, 1)
    monkeypatch.setattr(time, "time", lambda: now + 86_400)
    append(log, 2)
    monkeypatch.setattr(time, "time", lambda: now - 5 * 86_400)
    append(log, 3)
    files = log_files(tmp_path / "egress")
    assert [len(path.read_text().splitlines()) for path in files] == [1, 2]
    assert verify(tmp_path / "egress").good
    files[0].unlink()
    assert "record 2 does not follow record 0" in verify(tmp_path / "egress").broken


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    directory = tmp_path / "egress"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, str(directory), str(number), "25"], env={"PYTHONPATH": ":".join(sys.path)}
        )
        for number in range(3)
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    found = verify(directory)
    assert (found.good, found.records) == (True, 75)
    for number in range(3):
        mine = [record["number"] for record in read_records(directory) if record["by"] == str(number)]
        assert mine == list(range(25))


def test_full_disk_leaves_a_whole_chain_and_sends_nothing(bench: FrontierBench) -> None:
    bench.ask(classify_task(), "question 0")
    (path,) = log_files(bench.egress_dir)
    size = path.stat().st_size
    engine = bench.open(classify_task())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Some bytes of the record still fit, as on a real disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
    try:
        with pytest.raises(ResourceError, match="nothing was sent without it") as raised:
            list(answer_all(engine, [Request("a", "question 1")]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.exit_code == 4
    assert path.stat().st_size == size
    assert verify(bench.egress_dir).good
    assert [seen.text for seen in bench.frontier.requests] == ["question 0"]
    assert len(list((bench.egress_dir / "bodies").iterdir())) == 1


def test_record_that_cannot_be_made_lets_nothing_leave(bench: FrontierBench) -> None:
    bench.egress_dir.write_text("no folder")
    with pytest.raises(ResourceError, match="nothing"):
        bench.open(classify_task())
    assert not bench.frontier.requests


def test_unreadable_last_record_lets_nothing_leave(bench: FrontierBench) -> None:
    bench.ask(classify_task(), "question 0")
    (path,) = log_files(bench.egress_dir)
    with path.open("a") as file:
        file.write("no record\n")
    with pytest.raises(ResourceError, match="cannot be read"):
        bench.ask(classify_task(), "question 1")
    assert len(bench.frontier.requests) == 1


class WatchingFrontier(RecordedFrontier):
    """Looks into the record at the moment when a request arrives."""

    def arrived(self, seen: Seen) -> str:
        sha256 = hashlib.sha256(seen.body).hexdigest()
        directory: Path = self.directory  # type: ignore[attr-defined]
        records = [record for record in read_records(directory) if record.get("sha256") == sha256]
        self.was_recorded.append(len(records) == 1)  # type: ignore[attr-defined]
        assert body_path(directory, sha256).read_bytes() == seen.body
        return super().arrived(seen)


def test_every_request_is_in_the_record_before_it_arrives(home_dir: Path) -> None:
    with WatchingFrontier(ANSWERS) as frontier:
        frontier.directory, frontier.was_recorded = home_dir / "egress", []  # type: ignore[attr-defined]
        bench = FrontierBench(home_dir, frontier)
        bench.configure(concurrency=4)
        bench.allow()
        results = bench.ask(classify_task(), *list(ANSWERS)[:12])
        bench.engines[0].close()
        assert all(result.answer for result in results)
        assert frontier.was_recorded == [True] * 12  # type: ignore[attr-defined]


def test_record_says_where_what_and_how_much(bench: FrontierBench) -> None:
    bench.frontier.behaviour.prompt_tokens, bench.frontier.behaviour.completion_tokens = 100, 10
    bench.frontier.behaviour.unknown = {"label": "cards"}
    bench.ask(classify_task(), Request("letter-1", "write to a@example.com and b@example.com"))
    ((sent, ended),) = requests(bench.egress_dir, Filter())
    body = bench.frontier.requests[0].body
    expected = {
        "kind": "sent", "run": "run-1", "document": "letter-1", "task": "bank", "data_class": "internal",
        "frontier": "recorded", "destination": bench.frontier.url, "model": "recorded-1", "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(), "body_kept": True, "masked": {"mail": 2},
        "policy": hashlib.sha256(bench.policy_path.read_bytes()).hexdigest(), "currency": "USD",
        "reserved_tokens": len(body) + 1024,
    }  # fmt: skip
    assert {key: sent[key] for key in expected} == expected
    assert ended is not None
    assert (ended["outcome"], ended["tokens"], ended["money"]) == ("answered", 110, pytest.approx(0.00028))
    assert read_body(bench.egress_dir, 1) == body
    assert b"example.com" not in body
    text = b"".join(path.read_bytes() for path in log_files(bench.egress_dir))
    assert b"example.com" not in text


def test_bodies_are_kept_only_where_the_policy_says_so(bench: FrontierBench) -> None:
    bench.allow(keep_bodies="false")
    bench.ask(classify_task(), "question 0")
    assert not list((bench.egress_dir / "bodies").iterdir())
    assert verify(bench.egress_dir).good


@pytest.mark.parametrize(("spoil", "where"), [("change", "bodies_changed"), ("delete", "bodies_missing")])
def test_verify_finds_kept_bytes_that_were_changed_or_deleted(bench: FrontierBench, spoil: str, where: str) -> None:
    bench.ask(classify_task(), "question 0", "question 1")
    record = bench.records("sent")[1]
    path = body_path(bench.egress_dir, str(record["sha256"]))
    if spoil == "change":
        path.write_bytes(path.read_bytes().replace(b"question", b"answer!!"))
    else:
        path.unlink()
    found = verify(bench.egress_dir)
    assert not found.good
    assert getattr(found, where) == (record["sequence"],)


def test_killed_program_leaves_its_request_in_the_record_and_its_cost_counts(bench: FrontierBench) -> None:
    bench.configure(concurrency=1)
    bench.frontier.next_modes("silent")
    program = f"""
import os, sys
from pathlib import Path
from appliance.engines.engine import Request
from appliance.answering.answerer import answer_all
from appliance.answering.frontier import frontier_answerer
from appliance.routing.egress import EgressOptions
from appliance.ground.settings import load_settings
from tests.appliance.frontier_fixtures import classify_task
options = EgressOptions(allowed=True, run="killed", system_dir=Path({str(bench.system_dir)!r}))
engine = frontier_answerer(load_settings(os.environ), classify_task(), "recorded", options)
list(answer_all(engine, [Request("a", "question 0")]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={"STILLROOM_HOME": str(bench.home_dir), "PYTHONPATH": ":".join(sys.path)}
    )
    assert bench.frontier.wait_for_requests(1, 60)
    process.kill()
    assert process.wait(30) == -signal.SIGKILL
    found = verify(bench.egress_dir)
    assert (found.good, found.requests, found.unfinished) == (True, 1, (1,))
    reserved = int(str(bench.records("sent")[0]["reserved_tokens"]))
    # What the killed run reserved counts for the day: a cap just above it is reached at once.
    bench.allow(day=f"tokens = {reserved + 10}")
    (result,) = bench.ask(classify_task(), "question 1")
    assert result.error == "cap_tokens"
    assert len(bench.frontier.requests) == 1


@pytest.mark.slow
def test_whatever_is_killed_nothing_leaves_without_a_record(bench: FrontierBench) -> None:
    bench.configure(concurrency=4)
    # Each run goes on with the questions that no former one has paid for.
    bench.frontier.answers = {f"question {number}": {"label": "cards"} for number in range(2000)}
    program = f"""
import os, sys
from pathlib import Path
from appliance.engines.engine import Request
from appliance.answering.answerer import answer_all
from appliance.answering.frontier import frontier_answerer
from appliance.routing.egress import EgressOptions
from appliance.ground.settings import load_settings
from tests.appliance.frontier_fixtures import classify_task
options = EgressOptions(allowed=True, run="killed", system_dir=Path({str(bench.system_dir)!r}))
engine = frontier_answerer(load_settings(os.environ), classify_task(), "recorded", options)
texts = [f"question {{number}}" for number in range(2000)]
list(answer_all(engine, (Request(text, text) for text in texts)))
"""
    for kill in range(6):
        seen = len(bench.frontier.requests)
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env={"STILLROOM_HOME": str(bench.home_dir), "PYTHONPATH": ":".join(sys.path)},
        )
        assert bench.frontier.wait_for_requests(seen + 1 + 7 * kill, 60)
        process.kill()
        process.wait(30)
        found = verify(bench.egress_dir)
        assert found.good
        recorded = [str(record["sha256"]) for record in bench.records("sent")]
        arrived = [hashlib.sha256(request.body).hexdigest() for request in bench.frontier.requests]
        for sha256 in set(arrived):
            assert recorded.count(sha256) >= arrived.count(sha256)
        kept = [body_path(bench.egress_dir, sha256).read_bytes() for sha256 in set(recorded)]
        for part in list(bench.frontier.cut_short):
            assert any(body.startswith(part) for body in kept)
        # At most one request of each thread was recorded and did not arrive.
        assert len(recorded) - len(arrived) <= 4 * (kill + 1)
    assert bench.ask(classify_task(), "question 0")[0].answer == {"label": "cards"}
    assert verify(bench.egress_dir).good
