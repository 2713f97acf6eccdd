"""Where values stand in a document: over line ends, entry by entry, record by record."""

from appliance.tasks.linecode import Record
from appliance.tasks.spans import field_spans, first_place, placed_records
from appliance.tasks.task import Comparator, Field, FieldType
from appliance.tasks.window_answer import PlacedAnswer
from tests.appliance.engines.test_line_decoder import extraction

ITEMS = Field(
    "items", FieldType.RECORDS, comparator=Comparator.RECORDS,
    columns=(
        Field("what"), Field("count", FieldType.INTEGER), Field("amount", FieldType.AMOUNT),
        Field("kind", FieldType.ENUM, evidence="derived", values=("a", "b")),
    ),
)  # fmt: skip
TEXT = "Invoice 1\nhex nut  1  4.00\nbolt\n long   1  4.00\nhex nut  2  8.00\nTotal 16.00\n"
RECORDS: list[Record] = [
    {"what": "hex nut", "count": "1", "amount": "4.00", "kind": "a"},
    {"what": "bolt long", "count": "1", "amount": "4.00", "kind": None},
    {"what": "Hex Nut", "count": "2", "amount": "8.00", "kind": "b"},
]


def stretch(place: list[int] | tuple[int, int] | None) -> str | None:
    return None if place is None else TEXT[place[0] : place[1]]


def test_a_span_is_the_pages_own_stretch_with_its_line_ends_and_blanks() -> None:
    (place,) = field_spans(Field("what"), "bolt LONG", TEXT)
    assert isinstance(place, list)
    assert stretch(place) == "bolt\n long"
    assert first_place([place]) == place[0]
    assert field_spans(Field("what"), "gear", TEXT) == [None]
    assert field_spans(Field("what", evidence="derived"), "bolt", TEXT) == []
    assert field_spans(Field("what"), None, TEXT) == []


def test_entries_of_a_list_have_a_place_each_and_the_field_one_if_all_have() -> None:
    parts = Field("parts", FieldType.LIST, comparator=Comparator.LIST)
    spans = field_spans(parts, ["hex nut", "Total"], TEXT)
    assert [stretch(place) for place in spans if not isinstance(place, dict)] == ["hex nut", "Total"]
    assert first_place(spans) == TEXT.index("hex")
    assert first_place(field_spans(parts, ["hex nut", "gear"], TEXT)) is None


def test_records_are_placed_one_behind_the_other() -> None:
    placed = list(placed_records(ITEMS, RECORDS, TEXT))
    lines = [[stretch(place) for place in each.cells.values()] for each in placed]
    assert lines == [["hex nut", "1", "4.00"], ["bolt\n long", "1", "4.00"], ["hex nut", "2", "8.00"]]
    assert [each.anchor for each in placed] == [TEXT.index("hex"), TEXT.index("bolt"), TEXT.rindex("hex")]
    second = placed[1].cells["amount"]
    assert second is not None
    assert second[0] > TEXT.index("bolt"), "the price of its own line"


def test_a_record_that_is_not_printed_has_no_place_and_does_not_move_the_others() -> None:
    odd: Record = {"what": "gear", "count": None, "amount": None, "kind": "a"}
    placed = list(placed_records(ITEMS, [RECORDS[0], odd, RECORDS[2]], TEXT))
    assert placed[1].anchor is None
    assert placed[1].cells == {"what": None}
    assert placed[2].anchor == TEXT.rindex("hex")
    backwards = list(placed_records(ITEMS, [RECORDS[2], RECORDS[1]], TEXT))
    assert [each.anchor for each in backwards] == [TEXT.index("hex"), TEXT.index("bolt")]


def test_a_window_is_taught_the_records_that_stand_in_it_whole() -> None:
    task = extraction(ITEMS)
    cut = TEXT.index("bolt")
    placed, end = PlacedAnswer(task, {"items": RECORDS}, TEXT), len(TEXT)
    assert placed.within(0, cut)["items"] == RECORDS[:1]
    assert placed.within(cut, end)["items"] == RECORDS[1:]
    assert placed.within(TEXT.index("Total"), end)["items"] is None
    assert placed.within(TEXT.index(" long"), end)["items"] == RECORDS[2:]
