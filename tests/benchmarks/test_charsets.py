"""The benchmark of charset detection runs, and the figures do not fall below what was measured."""

from benchmarks.charsets import addresses, measure, prose, snippets


def test_prose_is_decoded_exactly_but_for_two_czech_lines() -> None:
    figures = measure(prose())
    assert (figures["texts"], figures["exact"]) == (192, 190)


def test_addresses_and_snippets_are_mostly_decoded_exactly() -> None:
    on_one_line, short = measure(addresses(10)), measure(snippets())
    assert int(str(on_one_line["exact"])) >= 0.95 * int(str(on_one_line["texts"]))
    assert int(str(short["exact"])) >= 40
