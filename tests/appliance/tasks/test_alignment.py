"""Where a document prints what somebody says it says."""

import unicodedata

import pytest

from appliance.tasks.alignment import How, anchored
from appliance.tasks.task import Comparator, Field, FieldType

TEXT = Field("name")
EXACT = Field("code", comparator=Comparator.EXACT)
AMOUNT = Field("total", type=FieldType.AMOUNT, comparator=Comparator.AMOUNT)
NUMBER = Field("count", type=FieldType.NUMBER, comparator=Comparator.NUMBER)
DATE = Field("day", type=FieldType.DATE, comparator=Comparator.DATE)


@pytest.mark.parametrize(
    ("field", "said", "page", "printed", "how"),
    [
        (TEXT, "Elm Traders", "From: ELM  Traders\n", "ELM Traders", How.PRINTED),
        (TEXT, "Grünwerk GmbH", unicodedata.normalize("NFD", "an Grünwerk GmbH"), None, How.PRINTED),
        (TEXT, "Griffin Office", "Gri\ufb03n O\ufb03ce", None, How.PRINTED),
        (TEXT, "O'Brien Logistics", "O\u2019Brien Logis\u00adtics", None, How.PRINTED),
        (TEXT, "12, Elm Road 5, Northfield", "12,ELM ROAD 5,\nNORTHFIELD", "12,ELM ROAD 5, NORTHFIELD",
         How.PUNCTUATION),
        (TEXT, "Bell and Sons", "BELL & SONS, makers", "BELL & SONS", How.PUNCTUATION),
        (TEXT, "Bell & Sons", "Bell und Sons", "Bell und Sons", How.PUNCTUATION),
        (TEXT, "Novak LLC", "Novak, L.L.C., a company", "Novak, L.L.C", How.PUNCTUATION),
        (TEXT, "Laboratorio Ines", "Laboratório Inês", "Laboratório Inês", How.PUNCTUATION),
        (TEXT, 'Vale Foods, Inc. ("Vale")', "between Vale Foods Inc, and", "Vale Foods Inc", How.WITHOUT_ADDITION),
        (TEXT, "Coral Gold Resourced Ltd.", "CORAL GOLD RESOURCES LTD. is", "CORAL GOLD RESOURCES LTD", How.MISSPELT),
        (AMOUNT, "1000", "Total due: $1,000 by Friday", "1,000", How.READING),
        (AMOUNT, "5.0", "Sum 5.00\n", "5.00", How.READING),
        (AMOUNT, "1234.56", "\u0661\u066c\u0662\u0663\u0664\u066b\u0665\u0666 due", None, How.READING),
        (NUMBER, "1200", "count 1,200 pieces", "1,200", How.READING),
        (DATE, "2014-08-18", "made as of this 18t h day of August 2014 (the", "18t h day of August 2014", How.READING),
        (DATE, "2024-03-04", "Date: March 4, 2024.", "March 4, 2024", How.READING),
    ],
)  # fmt: skip
def test_a_value_is_found_as_the_page_prints_it(
    field: Field, said: str, page: str, printed: str | None, how: How
) -> None:
    anchor = anchored(field, said, page)
    assert anchor is not None
    assert anchor.how is how
    assert " ".join(page[anchor.start : anchor.end].split()) == anchor.text
    if printed is not None:
        assert anchor.text == printed


@pytest.mark.parametrize(
    ("field", "said", "page"),
    [
        (TEXT, "Elm Traders", "Elm Raiders"),
        (TEXT, "Elm Traders", "Elm Street, and far behind it Traders"),
        (TEXT, "Bell", "Bellows"),
        (TEXT, "Coral Gold 1841 Ltd.", "Coral Gold 1814 Ltd."),
        (TEXT, "North Bakers", "South Bakers"),
        (TEXT, "Harbour", "Harbours"),
        (TEXT, "(the buyer)", "a seller"),
        (TEXT, "---", "--- "[:1]),
        (EXACT, "AB-1", "AB 1"),
        (EXACT, "AB-1", "ab-1"),
        (AMOUNT, "1000", "Total 10,000"),
        (AMOUNT, "50.00", "Total 5.00"),
        (DATE, "2024-03-04", "Date: March 5, 2024"),
    ],
)
def test_what_the_page_does_not_say_is_not_found(field: Field, said: str, page: str) -> None:
    assert anchored(field, said, page) is None


def test_of_several_places_the_one_that_is_spelt_alike_is_taken() -> None:
    anchor = anchored(TEXT, "Elm", "ELM elm Elm")
    assert anchor is not None
    assert anchor.start == 8
