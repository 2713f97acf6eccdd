import random

from curriculum import MAX_TOKENS, batches, draw_examples, stage_at
from imprints import draw_imprint, split_place
from pretraining_documents import MOST_ASKED, ask, draw_document, words_of

from training.demo.genres import UTILITY_BILL
from training.demo.layouts import HELD_OUT_WAYS, WAYS, draw_layout, print_block
from training.demo.page_ways import PAGE_WAYS
from training.demo.pools import LOCALES, pools
from training.demo.printing import draw_style
from training.demo.utility import draw_bills


def _documents(split, count=150, **options):
    rng = random.Random(f"{split}{options}")
    return [draw_document(rng, split, **options) for _ in range(count)]


def test_every_true_value_stands_in_the_document():
    for document in _documents("train") + _documents("train", short=3) + _documents("test"):
        for field in document.output_fields:
            assert field.value is None or field.value in document.text


def test_questions_of_a_document_differ_and_a_quarter_asks_for_what_is_missing():
    documents = _documents("train", 400)
    fields = [field for document in documents for field in document.output_fields]
    for document in documents:
        phrases = [field.phrase for field in document.output_fields]
        assert len(set(phrases)) == len(phrases)
    assert 0.17 < sum(field.value is None for field in fields) / len(fields) < 0.3


def test_what_is_asked_of_a_page_stands_on_it_in_one_piece_and_is_asked_once():
    for document in _documents("train", 400, ways=tuple(PAGE_WAYS), page=True):
        text = " ".join(document.text.split())
        phrases = [field.phrase for field in document.output_fields]
        assert len(set(phrases)) == len(phrases) <= MOST_ASKED
        values = [field.value for field in document.output_fields if isinstance(field.value, str)]
        assert all(" ".join(value.split()) in text for value in values)


def test_an_imprint_says_what_is_asked_of_it_and_nothing_that_the_page_says_elsewhere():
    rng, without = random.Random(8), {"iban", "bic", "place"}
    facts = {"Doe Ltd"}
    for _ in range(300):
        style = draw_style(rng, pools("train"))
        imprint = draw_imprint(rng, style, ("shop",), "Doe Ltd", without, True)
        printed = "\n".join([*imprint.top, *imprint.bottom])
        assert all(field.value is None or field.value in printed for field in imprint.fields)
        phrases = [field.phrase for field in imprint.fields]
        assert len(set(phrases)) == len(phrases)
        assert not [
            phrase for phrase in phrases if phrase.startswith(("iban", "bic", "swift", "postcode of the seller"))
        ]
        facts |= {field.value for field in imprint.fields if field.phrase == "shop" and field.value}
    assert facts == {"Doe Ltd"}
    for split in ("train", "test"):
        for places in pools(split).places:
            for place in places:
                postcode, city = split_place(place)
                assert f"{postcode} {city}" == place
                assert any(char.isdigit() for char in postcode)
                assert not any(char.isdigit() for char in city.replace("2e ", ""))  # 2e Valthermond


def test_splits_share_no_name_and_no_layout():
    for kind in ("names", "companies", "streets", "places", "cities", "phones"):
        for locale in range(len(LOCALES)):
            train, test = getattr(pools("train"), kind)[locale], getattr(pools("test"), kind)[locale]
            assert train
            assert test
            assert not set(train) & set(test)
    layouts = {split: {document.layout for document in _documents(split, 300)} for split in ("train", "test")}
    assert not layouts["train"] & layouts["test"]


def test_held_out_ways_are_printed_only_in_test_documents():
    rng = random.Random(3)
    for _ in range(200):
        assert not set(draw_layout(rng, "train", 2).ways) & set(HELD_OUT_WAYS)
    assert draw_layout(rng, "test", 1, HELD_OUT_WAYS).is_test


def test_each_way_prints_every_label_and_value():
    pairs = [("Total due", "$ 45.10"), ("Order no.", "A-4711"), ("Client", "Ada Byron")]
    for name in WAYS:
        for seed in range(20):
            text = " ".join(" ".join(print_block(random.Random(seed), name, pairs)).split())
            for label, value in pairs:
                assert value in text, (name, seed)
                assert label.lower() in text.lower(), (name, seed)


def test_the_kept_out_genre_is_in_no_training_document():
    bill_labels = {label.lower() for spec in UTILITY_BILL.fields for label in spec.labels if "meter" in label.lower()}
    for document in _documents("train", 400):
        assert document.genre != UTILITY_BILL.name
        lines = {line.partition(":")[0].strip().lower() for line in document.text.split("\n")}
        assert not lines & (bill_labels - {"meter"})


def test_an_absent_field_is_never_asked_by_words_that_are_printed():
    rng = random.Random(5)
    for document in _documents("train", 200):
        for field in document.output_fields:
            if field.value is None:
                assert f"\n{field.phrase.capitalize()}:" not in document.text
    assert words_of("number of the invoice") == {"invoice"}
    assert all(field.value is None for field in ask(rng, [], UTILITY_BILL.fields, 9))


def test_the_same_seed_gives_the_same_bills_and_splits_differ():
    first, again = draw_bills(4, 12, "train"), draw_bills(4, 12, "train")
    assert [bill.text for bill in first] == [bill.text for bill in again]
    assert not {bill.text for bill in first} & {bill.text for bill in draw_bills(4, 12, "test")}


def test_pools_of_examples_are_a_function_of_seed_and_number():
    def encode(text, special):
        return [1] if special else list(text.encode()[::4])

    first, again, next_pool = (draw_examples(7, number, 4000, encode) for number in (0, 0, 1))
    assert first == again
    assert first != next_pool
    for example in first:
        assert len(example.input_ids) == len(example.weights) <= MAX_TOKENS
        assert max(example.weights) == 1.0
    cut = list(batches(first, 700, random.Random(1)))
    assert sorted(len(e.input_ids) for b in cut for e in b) == [len(e.input_ids) for e in first]
    assert stage_at(0).short_share > stage_at(1e9).short_share
