"""The policy: what it must say, what is refused, and that a mistake in it lets nothing leave."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT_DIR

from appliance.answering.frontier import frontier_answerer
from appliance.engines.frontier_config import load_frontier
from appliance.engines.frontier_table import FrontierTable
from appliance.ground.errors import UsageError
from appliance.routing.detectors import DETECTORS
from appliance.routing.egress import EgressOptions
from appliance.routing.egress_state import egress_state
from appliance.routing.policy import EgressRefused, check_allowed, load_policy
from appliance.tasks.taskfile import task_from_table
from tests.appliance.frontier_fixtures import FrontierBench, classify_task, extract_task, frontier_bench

GOOD = """version = 1
enabled = true
data_classes = ["public", "internal"]
hosts = ["API.example.com", "127.0.0.1:8900"]
tasks = ["bank"]
keep_bodies = false

[masking]
detectors = ["mail", "iban"]
digits = 7
fields = ["orders.customer_name"]
unfound = "send"

[caps.run]
documents = 10
tokens = 20_000

[caps.day]
money = 5
"""


@pytest.fixture
def bench(home_dir: Path) -> Iterator[FrontierBench]:
    with frontier_bench(home_dir) as made:
        yield made


def write(bench: FrontierBench, text: str, system: bool = False) -> Path:
    path = (bench.system_dir if system else bench.home_dir) / "policy" / "egress.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_policy_says_what_the_file_says(bench: FrontierBench) -> None:
    path = write(bench, GOOD)
    policy = load_policy(bench.settings, bench.system_dir)
    assert policy.path == path
    assert (policy.enabled, policy.keep_bodies, policy.tasks) == (True, False, ("bank",))
    assert policy.data_classes == ("public", "internal")
    assert policy.hosts == ("api.example.com", "127.0.0.1:8900")
    assert (policy.masking.detectors, policy.masking.digits) == (("mail", "iban"), 7)
    assert (policy.masking.fields, policy.masking.send_unfound) == (("orders.customer_name",), True)
    assert (policy.run_caps.documents, policy.run_caps.tokens, policy.run_caps.money) == (10, 20_000, None)
    assert (policy.day_caps.documents, policy.day_caps.money) == (None, 5.0)


def test_what_is_not_said_is_the_strictest(bench: FrontierBench) -> None:
    write(bench, "version = 1\n")
    policy = load_policy(bench.settings, bench.system_dir)
    assert not policy.enabled
    assert (policy.data_classes, policy.hosts) == ((), ())
    assert policy.masking.detectors == tuple(DETECTORS)
    assert policy.masking.digits == 9
    assert not policy.masking.send_unfound
    assert policy.keep_bodies


def test_policy_of_the_machine_holds_before_that_of_the_home_folder(bench: FrontierBench) -> None:
    write(bench, GOOD)
    path = write(bench, "version = 1\nenabled = false\n", system=True)
    assert load_policy(bench.settings, bench.system_dir).path == path
    path.unlink()
    path.symlink_to(bench.home_dir / "nowhere")
    with pytest.raises(UsageError, match="cannot read the policy"):
        load_policy(bench.settings, bench.system_dir)


def test_policy_that_cannot_be_looked_for_is_not_passed_over_for_a_laxer_one(bench: FrontierBench) -> None:
    write(bench, GOOD)
    path = write(bench, "version = 1\nenabled = false\n", system=True)
    settings = bench.settings
    path.parent.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            # Root may look everywhere.
            os.seteuid(65534)
        with pytest.raises(EgressRefused, match="cannot see whether there is a policy"):
            load_policy(settings, bench.system_dir)
    finally:
        os.seteuid(user)
        path.parent.chmod(0o700)
    assert not load_policy(bench.settings, bench.system_dir).enabled


def test_policy_in_a_folder_that_others_can_write_is_refused(bench: FrontierBench) -> None:
    path = write(bench, GOOD)
    for folder in (path.parent, path.parent.parent):
        folder.chmod(0o777)
        with pytest.raises(EgressRefused, match="others can change the folder") as raised:
            load_policy(bench.settings, bench.system_dir)
        assert str(folder) in raised.value.message
        folder.chmod(0o755)
    assert load_policy(bench.settings, bench.system_dir).enabled


def test_policy_may_be_a_link_but_not_into_a_folder_of_others(bench: FrontierBench) -> None:
    path = write(bench, GOOD)
    elsewhere = bench.home_dir / "managed" / "v7" / "egress.toml"
    elsewhere.parent.mkdir(parents=True)
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert load_policy(bench.settings, bench.system_dir).enabled
    elsewhere.parent.chmod(0o775)
    with pytest.raises(EgressRefused, match="others can change the folder"):
        load_policy(bench.settings, bench.system_dir)


@pytest.mark.parametrize(
    ("wrong", "right", "message", "hint"),
    [
        ("enabled", "enabeld", "enabeld: unknown key", "mean enabled?"),
        ("data_classes", "data_clases", "data_clases: unknown key", "mean data_classes?"),
        ('"internal"]', '"intrenal"]', '"intrenal"', "mean internal?"),
        ('"iban"]', '"ibann"]', '"ibann"', "mean iban?"),
        ("fields =", "feilds =", "masking.feilds: unknown key", "mean fields?"),
        ('"send"', '"sned"', '"sned"', "mean send?"),
        ("documents", "docments", "caps.run.docments: unknown key", "mean documents?"),
        ("[caps.day]", "[caps.dya]", "caps.dya: unknown key", "mean day?"),
        ("version = 1", "version = 2", "version: 2 is not supported", ""),
        ("enabled = true", 'enabled = "yes"', "not true or false", "enabled = "),
        ("digits = 7", "digits = 2", "masking.digits: 2 would mask", "at least 4"),
        ("digits = 7", "digits = -1", "not a whole number", "digits = "),
        ("documents = 10", "documents = -1", "not a whole number", "documents = "),
        ("money = 5", 'money = "5"', "not a number", "money = "),
        ("money = 5", "money = true", "not a number", "money = "),
        ("money = 5\n", "\n", "caps.day: nothing is capped", "[caps.day]"),
        ('"API.example.com"', '"https://api.example.com/v1"', '"https://api', '"api.example.com"'),
        ('"API.example.com"', '"*.example.com"', 'hosts: "*.example.com" is not a host', '"api.example.com"'),
        ("version = 1", "version = ", "is not TOML", "correct the file"),
    ],
    ids=lambda value: value.replace("\n", " ")[:30],
)
def test_mistake_in_the_policy_names_what_was_meant_and_nothing_is_sent(
    bench: FrontierBench, wrong: str, right: str, message: str, hint: str
) -> None:
    assert wrong in GOOD
    write(bench, GOOD.replace(wrong, right, 1).replace("127.0.0.1:8900", bench.frontier.host))
    with pytest.raises(UsageError) as raised:
        frontier_answerer(
            bench.settings, classify_task(), "recorded", EgressOptions(allowed=True, system_dir=bench.system_dir)
        )
    assert message in raised.value.message
    assert hint in raised.value.hint
    assert not bench.frontier.requests
    assert not bench.egress_dir.exists()


def test_policy_that_is_right_lets_the_same_task_leave(bench: FrontierBench) -> None:
    write(bench, GOOD.replace("127.0.0.1:8900", bench.frontier.host))
    assert bench.ask(classify_task(), "question 0")[0].answer == {"label": "cards"}


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_policy_that_others_can_write_is_refused(bench: FrontierBench, mode: int) -> None:
    write(bench, GOOD).chmod(mode)
    with pytest.raises(EgressRefused, match="others can change"):
        load_policy(bench.settings, bench.system_dir)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_policy_of_another_user_is_refused(bench: FrontierBench) -> None:
    os.chown(write(bench, GOOD), 12345, 12345)
    with pytest.raises(EgressRefused, match="others can change"):
        load_policy(bench.settings, bench.system_dir)


def test_policy_that_is_no_file_is_refused(bench: FrontierBench) -> None:
    bench.policy_path.unlink()
    os.mkfifo(bench.policy_path)
    with pytest.raises(UsageError, match="not a regular file"):
        load_policy(bench.settings, bench.system_dir)


@pytest.mark.parametrize("name", [".", "policy"])
def test_policy_in_a_task_folder_is_no_policy(bench: FrontierBench, tmp_path: Path, name: str) -> None:
    os.rename(bench.policy_path, bench.home_dir / "kept.toml")
    task_dir = tmp_path / "task"
    (task_dir / name).mkdir(parents=True)
    (task_dir / name / "egress.toml").write_text((bench.home_dir / "kept.toml").read_text())
    with pytest.raises(EgressRefused, match="no egress policy"):
        bench.open(classify_task())


@pytest.mark.parametrize(
    ("changed", "task", "message"),
    [
        ({"enabled": "false"}, {}, "does not say enabled = true"),
        ({"data_classes": '["public"]'}, {}, "documents of class internal"),
        ({"data_classes": "[]"}, {}, "allowed: none"),
        ({"tasks": '["invoices"]'}, {}, "does not name task bank"),
        ({"hosts": '["api.example.com"]'}, {}, "does not let anything go to 127.0.0.1"),
        ({}, {"data_class": "secret"}, "documents of class secret"),
        ({"masking.fields": '["customer_name"]'}, {}, "the field customer_name, which task bank does not have"),
        ({"masking.fields": '["bank.lable"]'}, {}, "the field lable, which task bank does not have"),
        ({"masking.fields": '["Bank.lable"]'}, {}, "the field lable, which task bank does not have"),
        ({"tasks": '["bank"]', "masking.fields": '["banc.label"]'}, {}, "names no task banc"),
    ],
)
def test_what_the_policy_does_not_allow_is_refused(
    bench: FrontierBench, changed: dict[str, str], task: dict[str, object], message: str
) -> None:
    bench.allow(**changed)
    with pytest.raises(EgressRefused) as raised:
        bench.open(classify_task(**task))
    assert message in raised.value.message
    assert raised.value.exit_code == 2
    assert not bench.egress_dir.exists()


def test_task_that_names_no_data_class_never_leaves(bench: FrontierBench) -> None:
    values = {"version": 1, "name": "bank", "kind": "classify", "instruction": "What?", "labels": ["a", "b"]}
    bench.allow(data_classes='["public", "internal", "confidential", "secret"]')
    with pytest.raises(EgressRefused, match="without a data_class"):
        bench.open(task_from_table(values, "task.toml"))


def test_examples_of_the_manual_are_right(bench: FrontierBench, monkeypatch: pytest.MonkeyPatch) -> None:
    manual = (ROOT_DIR / "docs" / "egress.md").read_text("utf-8")
    config, policy = re.findall(r"```toml\n(.*?)```", manual, re.DOTALL)
    (bench.home_dir / "config.toml").write_text(config)
    write(bench, policy)
    monkeypatch.setenv("FRONTIER_KEY", "sk-1")
    task = extract_task()
    check_allowed(load_policy(bench.settings, bench.system_dir), task, load_frontier(bench.settings, "gpt"))
    state = egress_state(bench.settings, {"FRONTIER_KEY": "sk-1"}, bench.system_dir)
    assert (state.on, state.frontiers[0].problem) == (True, "")
    assert not [key for key in FrontierTable.model_fields if not re.search(rf"\b{key}\b", manual)]


def test_flag_of_the_command_is_needed_besides(bench: FrontierBench) -> None:
    with pytest.raises(EgressRefused, match="does not let documents go"):
        bench.open(classify_task(), allowed=False)
