"""How good the small base is, untaught: it decodes greedily what it is asked, about documents that it never saw.

    python benchmarks/base.py --json

Five parts: `known` (new documents of the pre-training genres and forms with random labels, with names and layouts kept
out of it), `new_ways` (the same, printed in ways kept out of it), `kept_out_genre` (the demo's utility bills),
`invoices_pdf` and `us_addresses` (documents that nobody generated, with hand-made gold). Each is decoded twice:
`literal`, where the decoder lets through only spans of the document, as the product does, and `free`, where the base
writes what it likes up to the line end. `_genres` and `_forms` tell the two kinds of known documents apart.
"""

import argparse
import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import packages_first  # noqa: F401  # before `training`
import torch
from transformers import PreTrainedModel

from appliance.engines.tokenizer import FileTokenizer
from appliance.ground.text import percent_interval
from appliance.quality.metrics import Judged, Outcome, judge
from appliance.quality.statistics import clustered_wilson, wilson
from appliance.tasks.linecode import Answer, Value
from appliance.tasks.prompt import ExampleAnswer, render_example
from appliance.tasks.task import TASK_VERSION, Comparator, Evidence, Field, Task, TaskKind
from appliance.tasks.taskfile import load_task
from appliance.tasks.values import same
from training.base_model import load_base, weights_hash
from training.demo.documents import GeneratedDocument
from training.demo.layouts import HELD_OUT_WAYS, TRAINING_WAYS
from training.demo.utility import draw_bills, truth_of
from training.students.decoder.generation import generate_each

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples" / "base"))  # the generator of the documents that the base learnt from

from curriculum import MAX_TOKENS, draw_question  # noqa: E402
from pretraining_documents import draw_document  # noqa: E402

DEMO_DIR = ROOT / "training" / "demo"
SEED = 2026
"""Of the generated documents; no choice in pre-training was made on them."""
FORM = "form"
"""Genre of forms with random labels: each is a genre of its own that exists only once."""
LONGEST_RUN = 10
"""Words of the longest run that is tried when a true value is looked for in a document."""
INVOICE_FIELDS = (
    ("issuer", "name of the seller", Comparator.TEXT),
    ("invoice_number", "invoice number", Comparator.TEXT),
    ("date", "invoice date", Comparator.DATE),
    ("date_due", "due date", Comparator.DATE),
    ("amount", "total amount", Comparator.AMOUNT),
    ("amount_untaxed", "net amount", Comparator.AMOUNT),
    ("amount_tax", "tax amount", Comparator.AMOUNT),
    ("vat", "vat number", Comparator.TEXT),
    ("iban", "iban", Comparator.TEXT),
    ("bic", "bic", Comparator.TEXT),
    ("telephone", "phone number", Comparator.TEXT),
    ("partner_email", "mail address", Comparator.TEXT),
    ("partner_website", "website", Comparator.TEXT),
    ("partner_street", "street of the seller", Comparator.TEXT),
    ("partner_zip", "postcode of the seller", Comparator.TEXT),
    ("partner_city", "city of the seller", Comparator.TEXT),
    ("partner_coc", "company registration number", Comparator.TEXT),
    ("payment_method", "payment method", Comparator.TEXT),
    ("payment_reference", "payment reference", Comparator.TEXT),
    ("order_id", "order number", Comparator.TEXT),
    ("client_id", "customer number", Comparator.TEXT),
    ("booking_id", "booking number", Comparator.TEXT),
    ("date_check_in", "check-in date", Comparator.DATE),
    ("date_check_out", "check-out date", Comparator.DATE),
)
"""Key in the gold, what the base is asked, and how its answer is compared."""
ADDRESS_FIELDS = (
    ("AddressNumber", "house number"),
    ("StreetName", "street name"),
    ("StreetNamePostType", "type of street"),
    ("OccupancyIdentifier", "apartment number"),
    ("USPSBoxID", "po box number"),
    ("Recipient", "recipient"),
    ("PlaceName", "city"),
    ("StateName", "state"),
    ("ZipCode", "zip code"),
)


@dataclass(frozen=True)
class Case:
    """A document, the fields that a task asks for, and what is right."""

    name: str
    genre: str
    text: str
    task: Task
    gold: Answer


@dataclass(frozen=True)
class Part:
    """Documents that are judged together."""

    cases: tuple[Case, ...] = ()
    left_out: int = 0
    """Documents that with their answer do not fit into the context."""
    skipped: str = ""
    """Why there are no documents."""


def extraction(fields: Sequence[Field], instruction: str = "") -> Task:
    """A task that asks for these fields."""
    return Task(TASK_VERSION, "base", TaskKind.EXTRACT, instruction, tuple(fields))


def generated_case(rng: random.Random, number: int, document: GeneratedDocument) -> Case:
    """A generated document with the question that is drawn for it; a value counts if it is printed just so."""
    question = draw_question(rng, document)
    names = [f"field_{at}" for at in range(len(document.output_fields))]
    fields = [
        Field(name, comparator=Comparator.EXACT, phrase=phrase)
        for name, phrase in zip(names, question.phrases, strict=True)
    ]
    gold: Answer = {name: spaced(field.value) for name, field in zip(names, document.output_fields, strict=True)}
    return Case(f"{number}", document.genre, document.text, extraction(fields, question.instruction), gold)


def spaced(value: Value) -> Value:
    """The value with single blanks."""
    return " ".join(value.split()) if isinstance(value, str) else value


def generated_cases(ways: Sequence[str], seed: int) -> Iterator[Case]:
    """Test documents without end, a pure function of the arguments."""
    rng = random.Random(f"base/{seed}/{len(ways)}")
    number = 0
    while True:
        yield generated_case(rng, number, draw_document(rng, "test", ways=ways))
        number += 1


def bill_cases(count: int, seed: int) -> Iterator[Case]:
    """The demo's own question about utility bills."""
    task = load_task(DEMO_DIR)
    task = replace(task, fields=tuple(replace(field, comparator=Comparator.EXACT) for field in task.fields))
    for number, bill in enumerate(draw_bills(seed, count, "test")):
        gold: Answer = {name: spaced(value) for name, value in truth_of(bill).items()}
        yield Case(f"{number}", bill.genre, bill.text, task, gold)


def invoice_cases(folder: Path) -> Iterator[Case]:
    """Real invoices; only what the gold says is asked, because it does not say what is absent."""
    for line in (folder / "gold.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        known = [entry for entry in INVOICE_FIELDS if isinstance(row["fields"].get(entry[0]), str | int | float)]
        task = extraction([Field(key, comparator=how, phrase=phrase) for key, phrase, how in known])
        gold: Answer = {key: as_text(row["fields"][key]) for key, _, _ in known}
        text = (folder / "docs" / f"{row['id']}.txt").read_text(encoding="utf-8")
        yield Case(row["id"], "invoice", text, task, gold)


def as_text(value: str | float) -> str:
    """A value of the gold as a document would print it."""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def address_cases(folder: Path) -> Iterator[Case]:
    """Hand-labelled addresses in an order by chance that is always the same."""
    task = extraction([Field(key, phrase=phrase) for key, phrase in ADDRESS_FIELDS])
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in sorted(rows, key=lambda row: hashlib.sha256(row["id"].encode()).digest()):
        gold: Answer = {key: row["fields"].get(key) for key, _ in ADDRESS_FIELDS}
        yield Case(row["id"], "address", row["text"], task, gold)


def fitting(cases: Iterator[Case], count: int, tokenizer: FileTokenizer) -> Part:
    """The first cases that fit into the context with their true answer."""
    chosen: list[Case] = []
    left_out = 0
    for case in cases:
        answer = ExampleAnswer([case.gold.get(field.name) for field in case.task.output_fields])
        example = render_example(case.task.prompt_spec(), case.text, answer, tokenizer.template, tokenizer.encode)
        if len(example.input_ids) > MAX_TOKENS:
            left_out += 1
            continue
        chosen.append(case)
        if len(chosen) == count:
            break
    return Part(tuple(chosen), left_out)


def real_part(folder: Path, read: Callable[[Path], Iterator[Case]], count: int, tokenizer: FileTokenizer) -> Part:
    """Documents from a folder, which need not be there."""
    if not folder.is_dir():
        return Part(skipped=f"{folder.name} is not there")
    return fitting(read(folder), count, tokenizer)


def make_part(name: str, options: argparse.Namespace, tokenizer: FileTokenizer) -> Part:
    """The documents of a part."""
    count: int = options.documents
    match name:
        case "known":
            return fitting(generated_cases(TRAINING_WAYS, options.seed), count, tokenizer)
        case "new_ways":
            return fitting(generated_cases(HELD_OUT_WAYS, options.seed + 1), count, tokenizer)
        case "kept_out_genre":
            return fitting(bill_cases(count, options.seed), count, tokenizer)
        case "invoices_pdf":
            return real_part(options.data / name, invoice_cases, count, tokenizer)
        case _:
            return real_part(options.data / name, address_cases, count, tokenizer)


PARTS = ("known", "new_ways", "kept_out_genre", "invoices_pdf", "us_addresses")
MODES: dict[str, Evidence] = {"literal": "literal", "free": "derived"}
"""How is decoded, and the `evidence` of the fields that makes the decoder do so."""


def judge_cases(
    model: PreTrainedModel, tokenizer: FileTokenizer, cases: Sequence[Case], mode: str = "literal"
) -> list[Judged]:
    """Decodes every case and compares it with its gold, in their order."""
    tasks = [
        replace(case.task, fields=tuple(replace(field, evidence=MODES[mode]) for field in case.task.fields))
        for case in cases
    ]
    room = int(model.config.max_position_embeddings)
    results = generate_each(model, tasks, tokenizer, [case.text for case in cases], room)
    judged = []
    for case, result in zip(cases, results, strict=True):
        answer = None if result.answer is None else {name: spaced(value) for name, value in result.answer.items()}
        judged.append(judge(case.task, case.name, case.gold, answer))
    return judged


Share = dict[str, float | int]


def share(numerators: Sequence[int], sizes: Sequence[int]) -> Share | None:
    """A share with its 95 % interval, documents as clusters; None of nothing."""
    if not sum(sizes):
        return None
    interval = clustered_wilson(numerators, sizes)
    return {key: round(float(value), 4) for key, value in asdict(interval).items() if key != "confidence"} | {
        "n": sum(sizes)
    }


def figures(judged: Sequence[Judged]) -> dict[str, Share | int | None]:
    """What is reported of judged documents."""
    sizes = [len(document.outcomes) for document in judged]
    absent = [len(document.absent) for document in judged]
    present_right = [
        sum(found is Outcome.CORRECT for name, found in document.outcomes.items() if name not in document.absent)
        for document in judged
    ]
    present = [size - missing for size, missing in zip(sizes, absent, strict=True)]
    whole = wilson(sum(document.whole for document in judged), len(judged))
    bounds = {"estimate": whole.estimate, "low": whole.low, "high": whole.high}
    return {
        "field_accuracy": share([document.correct for document in judged], sizes),
        "present_right": share(present_right, present),
        "invented": share([document.invented for document in judged], absent),
        "documents_right": {key: round(value, 4) for key, value in bounds.items()} | {"n": len(judged)},
        "unanswered": sum(document.failed for document in judged),
    }


def by_genre(cases: Sequence[Case], judged: Sequence[Judged]) -> dict[str, Share | None]:
    """Field accuracy of each genre."""
    genres = sorted({case.genre for case in cases})
    found: dict[str, Share | None] = {}
    for genre in genres:
        chosen = [document for case, document in zip(cases, judged, strict=True) if case.genre == genre]
        found[genre] = share([document.correct for document in chosen], [len(document.outcomes) for document in chosen])
    return found


def by_field(cases: Sequence[Case], judged: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """How many of each field are right, of how many, for parts that ask all documents the same."""
    table: dict[str, dict[str, int]] = {}
    for case, document in zip(cases, judged, strict=True):
        for field in case.task.output_fields:
            row = table.setdefault(field.phrase or field.name, {"right": 0, "asked": 0, "absent": 0, "invented": 0})
            row["asked"] += 1
            row["right"] += document.outcomes[field.name] is Outcome.CORRECT
            row["absent"] += field.name in document.absent
            row["invented"] += document.outcomes[field.name] is Outcome.INVENTED
    return table


def copyable(cases: Sequence[Case]) -> Share | None:
    """Share of the true values that some run of words in the document equals: more, no copying model can reach."""
    found, sizes = [], []
    for case in cases:
        runs = list(runs_of(case.text))
        wanted = [(field, case.gold[field.name]) for field in case.task.output_fields if case.gold.get(field.name)]
        found.append(sum(any(same(field, value, run) for run in runs) for field, value in wanted))
        sizes.append(len(wanted))
    return share(found, sizes)


def runs_of(text: str) -> Iterator[str]:
    """Every run of up to `LONGEST_RUN` words of a line."""
    for line in text.splitlines():
        words = line.split()
        for start in range(len(words)):
            for end in range(start + 1, min(start + LONGEST_RUN, len(words)) + 1):
                yield " ".join(words[start:end])


def measure(name: str, part: Part, model: PreTrainedModel, tokenizer: FileTokenizer) -> dict[str, object]:
    """Everything that is reported of a part."""
    if part.skipped:
        return {"skipped": part.skipped}
    record: dict[str, object] = {"documents": len(part.cases), "left_out": part.left_out}
    for mode in MODES:
        began = time.monotonic()
        judged = judge_cases(model, tokenizer, part.cases, mode)
        record[mode] = {**figures(judged), "seconds": round(time.monotonic() - began, 1)}
        if name in ("known", "new_ways"):
            is_form = [case.genre == FORM for case in part.cases]
            record[f"{mode}_genres"] = figures([one for one, form in zip(judged, is_form, strict=True) if not form])
            record[f"{mode}_forms"] = figures([one for one, form in zip(judged, is_form, strict=True) if form])
        if mode == "literal":
            table = by_genre if name in ("known", "new_ways") else by_field
            record[table.__name__] = table(part.cases, judged)
    if name in ("invoices_pdf", "us_addresses"):
        record["copyable"] = copyable(part.cases)
    return record


def table_lines(record: dict[str, object]) -> Iterator[str]:
    """The figures for a person; every share with interval and sample size."""
    for name in PARTS:
        part = record.get(name)
        if not isinstance(part, dict):
            continue
        if "skipped" in part:
            yield f"{name}: skipped, {part['skipped']}"
            continue
        yield f"{name}: {part['documents']} documents, {part['left_out']} left out because they are too long"
        for mode in (f"{mode}{kind}" for mode in MODES for kind in ("", "_genres", "_forms")):
            for key, found in part.get(mode, {}).items():
                if isinstance(found, dict):
                    text = percent_interval(found["estimate"], found["low"], found["high"])
                    yield f"  {mode:<14} {key:<16} {text}, n = {found['n']}"
        if part.get("copyable"):
            found = part["copyable"]
            yield f"  values that stand in the document: {100 * found['estimate']:.1f} %, n = {found['n']}"


def run(options: argparse.Namespace) -> dict[str, object]:
    """Judges the base."""
    torch.set_num_threads(options.threads)
    model, tokenizer = load_base(options.base), FileTokenizer(options.base / "tokenizer.json")
    record: dict[str, object] = {
        "base_sha256": weights_hash(options.base),
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "date": datetime.now(UTC).date().isoformat(),
        "threads": options.threads,
    }
    began = time.monotonic()
    for name in options.parts:
        record[name] = {"seed": options.seed} | measure(name, make_part(name, options, tokenizer), model, tokenizer)
    record["seconds"] = round(time.monotonic() - began, 1)
    return record


def keep(record: dict[str, object], path: Path) -> None:
    """Puts the figures into the file as `judged`; parts that were judged before, of the same base, stay."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    before = known.get("judged", {})
    same_base = before.get("base_sha256") == record["base_sha256"]
    judged = {**before, **record} if same_base else record
    path.write_text(json.dumps(known | {"judged": judged}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Reads the options, judges, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures as one line of JSON")
    parser.add_argument("--base", type=Path, default=DEMO_DIR / "base", help="folder of the base")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the real sets")
    parser.add_argument("--documents", type=int, default=300, help="most documents of a part")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seed", type=int, default=SEED, help="another one draws other documents")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="file to put the figures into, as `judged`")
    options = parser.parse_args()
    record = run(options)
    if options.out:
        keep(record, options.out)
    print(json.dumps(record) if options.json else "\n".join(table_lines(record)))


if __name__ == "__main__":
    main()
