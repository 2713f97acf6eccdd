"""The benchmark of long contracts: what a contract prints of an answer, and recall by the third of its place."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import ROOT_DIR

from appliance.tasks.taskfile import load_task

FIELDS: dict[str, object] = {
    "document_name": "Lease Agreement",
    "parties": ['Green Hill Farms, Inc. ("Owner")', '("Tenant")', "Otto Blum"],
    "agreement_date": "3/2/2019",
    "effective_date": "4/1/2019",
    "expiration_date": "perpetual",
    "renewal_term": "successive 1 year",
    "notice_period_to_terminate_renewal": "30 days",
    "governing_law": "Oregon",
}
TEXT = (
    'LEASE AGREEMENT\nMade on the 2nd day of March, 2019, between Green Hill Farms, Inc. ("Owner"), of Oregon,\n'
    'and Otto Blum ("Tenant").\nEffective as of April 1, 2019. A warranty holds for one year.\n'
    "It renews for terms of one (1)\nyear unless ended by notice of thirty days.\n"
    "The laws of the State of Oregon govern it.\n"
)


@pytest.fixture(scope="module")
def contracts() -> Iterator[ModuleType]:
    """The script as a module; `benchmarks/` is no package."""
    sys.path.append(str(ROOT_DIR / "benchmarks"))  # behind the packages, one of which a script is named like
    yield importlib.import_module("contracts")
    sys.path.remove(str(ROOT_DIR / "benchmarks"))


@pytest.fixture(scope="module")
def contract_values(contracts: ModuleType) -> ModuleType:
    return sys.modules["contract_values"]


def test_answers_become_what_the_contract_prints(contract_values: ModuleType) -> None:
    values, lost = contract_values.printed_values(TEXT, FIELDS)
    assert [(value.field, value.text) for value in values] == [
        ("document_name", "LEASE AGREEMENT"),
        ("parties", "Green Hill Farms, Inc."),
        ("parties", "Otto Blum"),
        ("agreement_date", "2nd day of March, 2019"),
        ("effective_date", "April 1, 2019"),
        ("renewal_term", "one (1) year"),
        ("notice_period_to_terminate_renewal", "thirty days"),
        ("governing_law", "Oregon"),
    ]
    assert lost == 1
    assert values[-1].place == TEXT.rindex("Oregon")


def test_figures_count_values_by_the_third_that_prints_them(
    contracts: ModuleType, contract_values: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "task.toml").write_text(contract_values.TASK)
    task = load_task(tmp_path)
    values, _ = contract_values.printed_values(TEXT, FIELDS)
    contract = contracts.Contract("a", "test", TEXT, tuple(values))
    answer = contract_values.answer_of(values)
    all_right = contracts.judge(task, contract, answer)
    assert (all_right.right == all_right.printed).all()
    assert all_right.printed.sum() == all_right.given == 8
    half = contracts.judge(task, contract, {**answer, "governing_law": "Texas", "parties": ["OTTO  BLUM"]})
    assert half.right.tolist() == [all_right.printed[0] - 1, all_right.printed[1], all_right.printed[2] - 1]
    found = contracts.figures([all_right, half])
    assert found["recall"][0] == pytest.approx(14 / 16)
    assert found["precision"][0] == pytest.approx(14 / 15, abs=1e-4)
    rotated = [contract.rotated(turns) for turns in range(3)]
    assert all(sorted(each.text) == sorted(TEXT) for each in rotated)
    assert all(each.text[value.place :].startswith(value.text[:4]) for each in rotated for value in each.values)
    thirds = np.sum([contracts.judge(task, each, answer).printed for each in rotated], axis=0)
    assert thirds.sum() == 24


def test_expressions_find_plain_values(contract_values: ModuleType) -> None:
    answer = contract_values.by_expressions(TEXT)
    assert answer["governing_law"] == "Oregon"
    assert answer["effective_date"] == "April 1, 2019"
