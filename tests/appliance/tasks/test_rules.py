"""Rules over fields: what they say of an answer, and what is refused before there is one."""

import pytest

from appliance.ground.errors import InvalidFile
from appliance.tasks.answer_findings import answer_findings
from appliance.tasks.linecode import Answer
from appliance.tasks.task import Task
from appliance.tasks.taskfile import task_from_table

FIELDS: list[dict[str, object]] = [
    {"name": "number"},
    {"name": "iban"},
    {"name": "issued", "type": "date"},
    {"name": "due", "type": "date"},
    {"name": "net", "type": "amount"},
    {"name": "vat", "type": "amount"},
    {"name": "total", "type": "amount"},
    {"name": "country", "type": "enum", "values": ["DE", "FR"]},
    {"name": "paid", "type": "boolean"},
    {"name": "parts", "type": "list"},
    {"name": "seller", "type": "object", "fields": [{"name": "vat_id"}, {"name": "tax_id"}]},
    {
        "name": "items",
        "type": "records",
        "fields": [{"name": "what"}, {"name": "count", "type": "integer"}, {"name": "amount", "type": "amount"}],
    },
]
ITEMS: list[dict[str, str | None]] = [
    {"what": "nut", "count": "2", "amount": "4.00"},
    {"what": "bolt", "count": "1", "amount": "3.50"},
]


def task(check: str, **more: object) -> Task:
    table = {
        "version": 2, "name": "t", "kind": "extract", "instruction": "Read", "locale": "en-GB", "fields": FIELDS,
        "rules": [{"name": "r", "check": check, **more}],
    }  # fmt: skip
    return task_from_table(table, "task.toml")


def reasons(check: str, answer: Answer, **more: object) -> list[str]:
    return [finding.message for finding in answer_findings(task(check, **more), answer)]


@pytest.mark.parametrize(
    ("check", "answer", "is_kept"),
    [
        ("sum(items.amount) == net", {"items": ITEMS, "net": "7.50"}, True),
        ("sum(items.amount) == net", {"items": ITEMS, "net": "EUR 7.50"}, True),
        ("sum(items.amount) == net", {"items": ITEMS, "net": "7.60"}, False),
        ("sum(items.amount) == net", {"items": ITEMS}, True),
        ("sum(items.amount) == net", {"net": "7.50"}, True),
        ("sum(items.amount) == net", {"items": [*ITEMS, {"what": "x"}], "net": "9"}, True),
        ("net + vat == total", {"net": "1,000.00", "vat": "190", "total": "1.190,00"}, True),
        ("net + vat == total", {"net": "100", "vat": "19", "total": "120"}, False),
        ("net + vat == total", {"net": "100 EUR", "vat": "19 EUR", "total": "119 USD"}, False),
        ("round(net * 0.19, 2) == vat", {"net": "99.99", "vat": "19.00"}, True),
        ("net / vat > 2", {"net": "99.99", "vat": "0"}, False),
        ("issued <= due", {"issued": "3 May 2024", "due": "03/06/2024"}, True),
        ("issued <= due", {"issued": "3 May 2024", "due": "2024-05-02"}, False),
        ("issued <= due", {"issued": "03/04/05/06", "due": "2024-05-02"}, True),
        ('due >= "2024-01-01"', {"due": "31 December 2023"}, False),
        ('country != "DE" or present(seller.vat_id)', {"country": "DE"}, False),
        ('country != "DE" or present(seller.vat_id)', {"country": "DE", "seller.vat_id": "DE1"}, True),
        ('country != "DE" or present(seller.vat_id)', {"country": "FR"}, True),
        ("one_of(seller.vat_id, seller.tax_id)", {"seller.vat_id": "1"}, True),
        ("one_of(seller.vat_id, seller.tax_id)", {"seller.vat_id": "1", "seller.tax_id": "2"}, False),
        ("any_of(seller.vat_id, seller.tax_id)", {}, False),
        ("all_or_none(seller.vat_id, seller.tax_id)", {}, True),
        ("all_or_none(seller.vat_id, seller.tax_id)", {"seller.tax_id": "2"}, False),
        ("count(items) == 2 and count(parts) == 0", {"items": ITEMS}, True),
        ("count(items.what) == 2", {"items": [*ITEMS, {"what": None, "count": "1", "amount": "1"}]}, True),
        ("max(items.amount) <= 4 and min(items.count) >= 1", {"items": ITEMS}, True),
        ('check_digit(iban, "iban")', {"iban": "DE89 3704 0044 0532 0130 00"}, True),
        ('check_digit(iban, "iban")', {"iban": "DE89 3704 0044 0532 0130 01"}, False),
        ('check_digit(iban, "iban")', {}, True),
        ('not (paid == "yes" and present(due))', {"paid": "yes", "due": "2024-05-02"}, False),
        ("0 < net < 10", {"net": "10"}, False),
        ("abs(net - total) <= 0.02", {"net": "10", "total": "10.02"}, True),
        ("-net < 0", {"net": "5"}, True),
    ],
)
def test_a_rule_is_kept_broken_or_left_open(check: str, answer: Answer, is_kept: bool) -> None:
    assert (reasons(check, answer) == []) is is_kept


def test_what_is_open_beside_what_decides_does_not_count() -> None:
    assert reasons("net > 1 or total > 1", {"total": "5"}) == []
    assert reasons("net > 1 and total > 9", {"total": "5"}) != []


def test_a_broken_rule_says_what_it_found() -> None:
    broken = answer_findings(task("sum(items.amount) == net"), {"items": ITEMS, "net": "8.00"})
    assert [(finding.reason, finding.fields, finding.message) for finding in broken] == [
        ("rule:r", ("net", "items"), "r: sum(items.amount) == net is not so: 7.5 and 8")
    ]
    assert reasons("net + vat == total", {"net": "1", "vat": "1", "total": "3"}, description="The sum is wrong") == [
        "r: The sum is wrong: 2 and 3"
    ]
    assert reasons("net + vat == total", {"net": "1", "vat": "1", "total": "2.01"}, tolerance=0.01) == []
    assert reasons("net == total", {"net": "1 EUR", "total": "1 USD"}) == [
        "r: net == total is not so: EUR and USD are different units"
    ]


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        ("nett == total", "nett is no field of the task, did you mean net?"),
        ("items.amout == total", "items.amout is no field of the task, did you mean items.amount?"),
        ("net = total", "cannot be read at '= total'"),
        ("net ==", "cannot be read"),
        ("net / 0 == total", "divides by nought"),
        ("items.amount == net", "items.amount has several values"),
        ("sum(net) == total", "sum takes several values, and net has one"),
        ("sum(items.what) == total", "sum takes numbers, and items.what has texts"),
        ("number < total", "compares a text with a number"),
        ("number < iban", "puts a text in an order"),
        ('due > "next week"', "compares a date with a text"),
        ("net", "gives a number, not yes or no"),
        ("summe(items.amount) == net", "summe is no function of rules, did you mean sum?"),
        ("round(net) == total", "round takes a number and how many decimals"),
        ("present(net, total)", "present takes one field"),
        ("one_of(net)", "one_of takes two fields or more"),
        ('check_digit(iban, "iba")', "check_digit takes a field and the kind of number"),
        ('check_digit(items.what, "ean")', "items.what has several values"),
        ("__import__('os').system('x') == 0", "cannot stand in a rule"),
        ("(lambda: 1)() == 1", "cannot stand in a rule"),
        ("[x for x in items] == 1", "cannot stand in a rule"),
        ("net ** 99999999 == total", "cannot stand in a rule"),
        ("net in total", "in cannot stand in a rule"),
        ("net == None", "cannot stand in a rule"),
        ("(" * 200 + "net" + ")" * 200 + " == 1", ""),
        ("net == 1" + " and net == 1" * 60, "at most 500"),
    ],
)
def test_a_rule_that_cannot_be_checked_is_refused_with_its_place(check: str, problem: str) -> None:
    if not problem:
        try:
            task(check)
        except InvalidFile:
            return
        return
    with pytest.raises(InvalidFile) as caught:
        task(check)
    assert "rules[1].check" in caught.value.message
    assert problem in caught.value.message


def test_names_of_rules_differ_and_only_extractions_have_some() -> None:
    table = {
        "version": 2, "name": "t", "kind": "extract", "instruction": "Read", "fields": FIELDS,
        "rules": [{"name": "r", "check": "net > 0"}] * 2,
    }  # fmt: skip
    with pytest.raises(InvalidFile, match="given twice"):
        task_from_table(table, "task.toml")
    labels: dict[str, object] = {"kind": "classify", "labels": ["a", "b"], "fields": []}
    with pytest.raises(InvalidFile, match='given, but the kind is "classify"'):
        task_from_table({**table, **labels}, "task.toml")
