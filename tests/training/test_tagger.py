"""Taggers of the curation: which words of a value are its first, its last, its only one."""

from decoder_fixtures import order_row

from training.curate.tagger import Tagger, Taught, Words, spans_of

PAGE = 'Buyer: "Elm Road Traders", 12 pieces.'


def place(text: str, page: str = PAGE) -> tuple[int, int]:
    return page.index(text), page.index(text) + len(text)


def labels(text: str) -> list[str]:
    taught = Taught(Words.of(PAGE), {"buyer": [place(text)]})
    return [label.partition("-")[0] for label in taught.labels()]


def test_the_last_word_of_a_value_is_told_apart() -> None:
    # Buyer : " Elm Road Traders " , 12 pieces .
    assert labels("Elm Road Traders") == list("OOOBILOOOOO")
    assert labels("Elm Road") == list("OOOBLOOOOOO")
    assert labels("Elm") == list("OOOUOOOOOOO")


def test_marks_at_the_ends_are_no_part_of_a_value() -> None:
    assert labels('"Elm Road Traders",') == labels("Elm Road Traders")
    assert labels('",') == list("OOOOOOBLOOO"), "where it is nothing else, they are"


def test_labels_become_the_stretches_that_they_came_of() -> None:
    words = Words.of(PAGE)
    places = {"buyer": [place("Elm Road Traders")], "count": [place("12")]}
    assert spans_of(words, Taught(words, places).labels()) == places
    broken = ["O", "O", "O", "I-buyer", "B-count", "L-buyer", "O", "O", "O", "O", "O"]
    assert spans_of(words, broken) == {"buyer": [place("Elm"), place("Traders")], "count": [place("Road")]}


def test_a_whole_value_is_likelier_than_a_part_of_it() -> None:
    rows = [row for row in map(order_row, range(60)) if row.answer["customer"]]
    customers = [str(row.answer["customer"]) for row in rows]
    taught = [
        Taught(Words.of(row.text), {"customer": [place(customer, row.text)]})
        for row, customer in zip(rows, customers, strict=True)
    ]
    tagger, text, customer = Tagger(taught[1:]), rows[0].text, customers[0]
    words = Words.of(text)
    tagger.read(words)
    whole = tagger.likelihood("customer", place(customer, text))
    parts = [tagger.likelihood("customer", place(word, text)) for word in customer.split()]
    assert len(parts) > 1
    assert whole > 0.8 > 0.1 > max(parts)
    (first, *_) = words.inside(place(customer, text))
    assert tagger.likelihood_of_some(first) > 0.8
    assert tagger.likelihood_of_some(min(words.marks)) < 0.2
