"""`stillroom curate`: what each filter finds, near duplicates, and which rows train and which judge."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from decoder_fixtures import TASK, cli, order_row, write_rows

from appliance.ground.errors import UsageError
from appliance.quality.near_duplicates import clusters, near_ones, word_pairs
from appliance.tasks.folder import ANSWERS_FILE
from appliance.tasks.labels import LabelledRow, read_dataset, read_json_lines
from appliance.tasks.task import Task
from appliance.tasks.taskfile import load_task
from training.curate.label_truth import LabelJudgement, label_doubts
from training.curate.pipeline import FILTERS, CurationOptions, curate, filter_rows
from training.curate.slices import SliceLimits, slice_names, slice_reports
from training.curate.split import families, split_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "task.toml").write_text(TASK.format(base="stillroom-base"))
    return tmp_path


@pytest.fixture
def task(folder: Path) -> Task:
    return load_task(folder)


def with_answer(row: LabelledRow, **changed: str | list[str] | None) -> LabelledRow:
    return replace(row, answer={**row.answer, **changed})


def reasons_for(task: Task, wrong: LabelledRow, others: Sequence[LabelledRow]) -> dict[str, str]:
    """Why the one wrong row among good ones, or a value of it, is not learnt from; fails where a good one is."""
    filtered = filter_rows(task, [*others, wrong])
    assert len(filtered.kept) + len(filtered.rejected) == len(others) + 1
    assert {row.document for row, _ in filtered.rejected} <= {wrong.document}
    assert {row.document for row in filtered.kept if row.untrusted} <= {wrong.document}
    for row, reasons in filtered.rejected:
        return {"": reasons[0]} if row.document == wrong.document else {}
    return next(row for row in filtered.kept if row.document == wrong.document).untrusted


GOOD = [order_row(number) for number in range(1, 60)]
ODD = order_row(100)
WRONG = {
    "form: totl is not a field": ("", with_answer(ODD, totl="1.00")),
    "form: total is a list": ("total", with_answer(ODD, total=["1.00"])),
    "form: total has no digit": ("total", with_answer(ODD, total="twelve")),
    "evidence: total altered": ("total", with_answer(ODD, total="9999.00")),
    "evidence: customer invented": ("customer", with_answer(ODD, customer="Zoe Quist")),
    "truth: number and total swapped": (
        "total", with_answer(ODD, order_number=ODD.answer["total"], total=ODD.answer["order_number"]),
    ),
    "truth: customer left out": ("customer", with_answer(ODD, customer=None)),
    "truth: customer without its end": ("customer", with_answer(ODD, customer=str(ODD.answer["customer"]).split()[0])),
    "truth: customer without its beginning": (
        "customer", with_answer(ODD, customer=str(ODD.answer["customer"]).split()[-1]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_value_among_good_rows_is_found_by_its_filter(task: Task, mistake: str) -> None:
    field, wrong = WRONG[mistake]
    reasons = reasons_for(task, wrong, GOOD)
    assert reasons[field].startswith(mistake.partition(":")[0])
    assert set(reasons) <= {"", "total", "customer", "order_number"}


def test_letters_may_be_coded_otherwise_in_the_text_than_in_the_answer(task: Task) -> None:
    row = with_answer(ODD, customer="Jörg O'Griffin")
    text = ODD.text.replace(str(ODD.answer["customer"]), "Jo\u0308rg O\u2019Gri\ufb03n")
    assert text != ODD.text
    assert reasons_for(task, replace(row, text=text), GOOD) == {}


def test_good_rows_pass_every_filter(task: Task) -> None:
    filtered = filter_rows(task, GOOD)
    assert (len(filtered.kept), filtered.rejected) == (len(GOOD), [])
    assert not any(row.untrusted for row in filtered.kept)
    assert [report.name for report in filtered.filters] == list(FILTERS)


def test_of_a_repeated_row_one_is_kept_without_what_they_contradict(task: Task) -> None:
    row = GOOD[0]
    assert len(filter_rows(task, [*GOOD, replace(row, document="again.txt")]).kept) == len(GOOD)
    filtered = filter_rows(task, [*GOOD, with_answer(replace(row, document="again.txt"), customer=None)])
    assert len(filtered.kept) == len(GOOD)
    assert filtered.kept[0].untrusted["customer"].startswith("duplicate: 2 rows with this text disagree on customer")


@pytest.mark.parametrize(
    ("said", "text", "printed"),
    [
        ("12, ELM ROAD 5, NORTHFIELD", "12,ELM ROAD 5,\nNORTHFIELD\n", "12,ELM ROAD 5, NORTHFIELD"),
        ("Office\u00a0Box", "an oﬃce  box\n", "oﬃce box"),
        ("O'Neil", "Mr O\u2019Neil\n", "O\u2019Neil"),
    ],
    ids=["marks and line ends", "ligature", "quotes"],
)
def test_a_value_is_taught_as_the_page_prints_it(task: Task, said: str, text: str, printed: str) -> None:
    row = replace(ODD, text=f"{ODD.text}\n{text}", answer={**ODD.answer, "customer": said})
    kept = next(row for row in filter_rows(task, [*GOOD, row]).kept if row.document == ODD.document)
    assert kept.answer["customer"] == printed
    assert kept.teacher_answer is not None
    assert kept.teacher_answer["customer"] == said


@pytest.mark.parametrize(("said", "printed"), [("5.0", "5.00"), ("1000", "$1,000"), ("1234.5", "1,234.50 EUR")])
def test_a_number_is_taught_as_the_page_prints_it(task: Task, said: str, printed: str) -> None:
    row = replace(ODD, text=f"Order 4711\nTotal: {printed}\n", answer={"order_number": None, "total": said})
    kept = [row for row in filter_rows(task, [row]).kept if row.document == ODD.document]
    assert str(kept[0].answer["total"]) in printed
    assert str(kept[0].answer["total"]) != said


def test_near_duplicates_are_those_that_comparing_all_pairs_finds() -> None:
    texts = [row.text + "\nplease send it to the same place as the last time, it was right" for row in GOOD[:40]]
    sets = [word_pairs(text) for text in texts]
    for share in (0.3, 0.6, 0.8):
        near = [
            [other for other, pairs in enumerate(sets) if len(pairs & mine) / len(pairs | mine) >= share]
            for mine in sets
        ]
        assert [set(numbers) for numbers in near_ones(texts, texts, share)] == list(map(set, near))
        expected = list(range(len(texts)))
        for _ in texts:
            expected = [min(expected[other] for other in numbers) for numbers in near]
        assert clusters(texts, share) == expected
    assert clusters(["", "", "word", "word"]) == [0, 1, 2, 2]


def test_siblings_are_never_divided(task: Task) -> None:
    rows = []
    for number in range(40):
        text = " ".join(f"word{number}x{place}" for place in range(20))
        rows.append(replace(ODD, document=f"a{number}", text=text))
        rows.append(replace(ODD, document=f"b{number}", text=rows[-1].text.upper() + " end"))
        rows.append(replace(ODD, document=f"c{number}", text=f"other {number}", group=f"customer {number % 7}"))
    split_of = {row.document: name for name, found in split_rows(task, rows, 0.2, 0.2).items() for row in found}
    assert set(split_of.values()) == {"train", "validation", "test"}
    assert all(split_of[f"a{number}"] == split_of[f"b{number}"] for number in range(40))
    by_group = {number % 7: {split_of[f"c{m}"] for m in range(number, 40, 7)} for number in range(7)}
    assert all(len(splits) == 1 for splits in by_group.values())


def test_further_rows_move_no_row_to_another_split(task: Task) -> None:
    before = split_rows(task, GOOD[:30], 0.2, 0.2)
    after = split_rows(task, GOOD, 0.2, 0.2)
    for name, rows in before.items():
        assert {row.document for row in rows} <= {row.document for row in after[name]}
    assert len(set(families(GOOD))) == len(GOOD)


def labelled_task(path: Path, slices: str = "") -> Task:
    labels = "".join(f', "label{number}"' for number in range(12))[2:]
    kind = 'kind = "classify"\ninstruction = "Which?"\nlabels = [' + labels + "]\n"
    path.write_text(f'version = 1\nname = "t"\n{kind}{slices}')
    return load_task(path)


def test_every_label_has_its_share_of_each_split_and_siblings_stay_together(tmp_path: Path) -> None:
    task = labelled_task(tmp_path / "task.toml")
    rows = []
    for number in range(360):
        text = " ".join(f"w{number}x{place}" for place in range(12))
        row = LabelledRow(f"{number}", text, {"label": f"label{number % 12}"})
        rows += [row, replace(row, document=f"{number}+", text=text + " end")][: 1 + (number % 5 == 0)]
    splits = split_rows(task, rows, 0.2, 0.1)
    counts = {name: Counter(row.answer["label"] for row in found) for name, found in splits.items()}
    for label in task.labels:
        total = sum(counts[name][label] for name in counts)
        assert abs(counts["validation"][label] - 0.2 * total) <= 2
        assert abs(counts["test"][label] - 0.1 * total) <= 2
    split_of = {row.document: name for name, found in splits.items() for row in found}
    assert all(split_of[f"{number}"] == split_of[f"{number}+"] for number in range(0, 360, 5))
    first = split_rows(task, rows[:200], 0.2, 0.1)
    assert all(split_of[row.document] == name for name, found in first.items() for row in found)


def test_every_slice_has_its_share_of_each_split(task: Task) -> None:
    sliced = replace(task, slices=("customer", "currency"))
    chance = random.Random(3)
    rows = [
        LabelledRow(
            f"{number}",
            " ".join(f"w{number}x{place}" for place in range(12)),
            {"customer": chance.choice(["big", "small", None]), "currency": chance.choice("ABCD")},
        )
        for number in range(300)
    ]
    splits = split_rows(sliced, rows, 0.15, 0.15)
    for name in sliced.slices:
        for value in {row.answer[name] for row in rows}:
            total = sum(row.answer[name] == value for row in rows)
            for split in ("validation", "test"):
                assert abs(sum(row.answer[name] == value for row in splits[split]) - 0.15 * total) <= 2


def test_rows_that_join_families_leave_them_the_name_of_the_first_member() -> None:
    """Otherwise a further row would give a family another name, and so perhaps another split."""
    texts = [" ".join(f"{word}{place}" for place in range(20)) for word in ("ship", "rail")]
    first, second = (replace(ODD, text=text) for text in texts)
    joining = replace(ODD, text=texts[1] + " end", group="g")
    rows = [first, replace(first, text=texts[0] + " end", group="g"), second, joining]
    assert families(rows[:1]) == families(rows)[:1]
    assert len(set(families(rows))) == 1


def test_the_command_keeps_every_row_with_its_reasons(folder: Path) -> None:
    wrongs = [replace(row, document=f"wrong-{number}.txt", text=f"{number} of these\n{row.text}")
              for number, (_, row) in enumerate(WRONG.values())]  # fmt: skip
    rows = [*GOOD, *wrongs]
    write_rows(folder / ANSWERS_FILE, rows)
    found = cli("curate", folder, "--json")
    assert found.returncode == 0
    report = json.loads(found.stdout)
    assert report["rows"] == len(rows) == report["train"] + report["validation"] + report["test"] + report["rejected"]
    rejected = {
        str(record["document"]): record["reasons"]
        for _, record in read_json_lines(folder / "dataset" / "rejected.jsonl")
    }
    assert set(rejected) == {"wrong-0.txt"}
    assert all(rejected.values())
    kept = [
        row for name in ("train", "validation", "test") for row in read_dataset(folder / "dataset" / f"{name}.jsonl")
    ]
    assert sorted(row.document for row in kept) == sorted(row.document for row in rows if row.document != "wrong-0.txt")
    masked = {row.document: set(row.untrusted) for row in kept if row.untrusted}
    assert {name: masked[name] for name in ("wrong-1.txt", "wrong-3.txt", "wrong-4.txt")} == {
        "wrong-1.txt": {"total"}, "wrong-3.txt": {"total"}, "wrong-4.txt": {"customer"},
    }  # fmt: skip
    assert report["masked"] == sum(map(len, masked.values()))
    shown = cli("curate", folder)
    assert "evidence: 0 of" in shown.stdout
    assert "not learnt from" in shown.stdout


def test_the_same_answers_give_the_same_dataset(folder: Path, task: Task) -> None:
    write_rows(folder / ANSWERS_FILE, GOOD)
    first = curate(task, folder).report
    write_rows(folder / ANSWERS_FILE, GOOD[::-1])
    assert curate(task, folder).report.data_hash == first.data_hash


def test_what_cannot_be_curated_is_said(folder: Path, task: Task) -> None:
    with pytest.raises(UsageError, match="no teacher/answers"):
        curate(task, folder)
    write_rows(folder / ANSWERS_FILE, GOOD[:3])
    with pytest.raises(UsageError, match="leave nothing to train on"):
        curate(task, folder, CurationOptions(0.5, 0.5))
    (folder / ANSWERS_FILE).write_text('{"document": "a.txt"}\n')
    with pytest.raises(UsageError, match=r"answers.jsonl:1: the row has no sha256"):
        curate(task, folder)


CLASSIFY = """version = 1
name = "mails"
kind = "classify"
instruction = "Which?"
labels = ["bill", "order"]
abstain = "other"
"""


def test_a_choice_is_doubted_for_another_one_and_not_for_none() -> None:
    row = LabelledRow("a.txt", "which desk", {"desk": "cards"}, "")
    for other, doubted in (("loans", True), ("", False)):
        judgement = LabelJudgement(0.01, other, 0.97, usual=0.9, own_usual=0.6)
        assert bool(label_doubts([row], [judgement], "desk")) is doubted
        assert not label_doubts([replace(row, source="person")], [judgement], "desk")


def test_shares_may_name_the_label_for_none_of_these(folder: Path) -> None:
    (folder / "task.toml").write_text(CLASSIFY)
    task = load_task(folder)
    rows = [replace(ODD, answer={"label": "other"}, labels={"other": 0.7, "bill": 0.3})]
    assert [row.labels for row in filter_rows(task, rows).kept] == [rows[0].labels]
    wrong = [replace(ODD, answer={"label": "other"}, labels={"spam": 0.7, "bill": 0.3})]
    assert filter_rows(task, wrong).rejected == [(wrong[0], ["form: 'spam' is not a label of the task"])]


def test_shares_of_labels_have_no_place_in_an_extraction(task: Task) -> None:
    wrong = replace(ODD, labels={"a": 1.0})
    assert filter_rows(task, [wrong]).rejected == [
        (wrong, ["form: the row gives shares of labels, but the task has no labels"])
    ]


def test_a_persons_answer_stands_above_a_teachers_to_the_same_text(task: Task) -> None:
    taught = GOOD[0]
    person = replace(with_answer(GOOD[0], customer=None), source="person")
    for rows in ([taught, person], [person, taught]):
        filtered = filter_rows(task, rows)
        assert [(row.answer, row.source) for row in filtered.kept] == [(person.answer, "person")]
        assert [reasons for _, reasons in filtered.rejected] == [["duplicate: a person answered the same text"]]
    contradicting = [person, replace(person, answer=taught.answer)]
    (kept,) = filter_rows(task, contradicting).kept
    assert set(kept.untrusted) == {"customer"}


def test_no_statistic_overrules_a_person(task: Task) -> None:
    left_out = with_answer(ODD, customer=None)
    assert reasons_for(task, left_out, GOOD) != {}
    assert reasons_for(task, replace(left_out, source="person"), GOOD) == {}


def test_nothing_left_to_train_on_is_said(folder: Path) -> None:
    (folder / "teacher").mkdir()
    write_rows(folder / ANSWERS_FILE, [with_answer(ODD, totl="1.00")])
    done = cli("curate", folder)
    assert done.returncode == 3
    assert "no row is left to train on (1 row read, 1 rejected)" in done.stderr
    assert "rejected.jsonl" in done.stderr
    refused = cli("curate", folder, "--validation", "nan")
    assert refused.returncode == 2


def test_a_row_that_somebody_edited_into_nonsense_is_named(folder: Path) -> None:
    (folder / "teacher").mkdir()
    (folder / ANSWERS_FILE).write_text('{"document": "a", "sha256": "0", "text": 5, "answer": {}}\n')
    with pytest.raises(UsageError, match=r"answers\.jsonl:1: text is not a string"):
        read_dataset(folder / ANSWERS_FILE)


def test_unusual_documents_are_slices_of_their_own(task: Task) -> None:
    empty = with_answer(ODD, **dict.fromkeys(ODD.answer))
    unsure = replace(ODD, agreement={"total": 0.6, "customer": 1.0})
    assert slice_names(task, empty) == ["documents without any value"]
    assert slice_names(task, unsure) == ["documents of which the teacher is unsure"]
    assert slice_names(task, replace(unsure, source="person")) == slice_names(task, ODD) == []
    reports = slice_reports(task, {"train": [empty, unsure], "validation": [unsure], "test": []}, SliceLimits())
    assert [(each.name, each.train, each.validation) for each in reports] == [
        ("documents without any value", 1, 0), ("documents of which the teacher is unsure", 1, 1),
    ]  # fmt: skip


def test_a_value_that_joins_several_places_is_told_apart_from_an_invented_one(task: Task) -> None:
    row = replace(ODD, text=f"{ODD.text}\nfor Ada Quist\nat noon\nand Bo Lind\n")
    reasons = reasons_for(task, with_answer(row, customer="Ada Quist; Bo Lind"), GOOD)
    assert reasons["customer"] == "evidence: customer stands at several places of the text; a list could hold them"
    assert reasons_for(task, with_answer(row, customer="Ada Quist; Cy Lind"), GOOD)["customer"].endswith("in the text")
