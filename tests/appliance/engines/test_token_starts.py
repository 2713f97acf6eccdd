"""What a token starts with must let every token through that a document lets through."""

from collections.abc import Callable

import pytest

from appliance.engines.document_spans import Spans
from appliance.engines.token_starts import TokenStarts

DOCUMENT = "ΟΔΟΣ Σίσυφος ΣΑΣ 12, İstanbul ŞİŞLİ\nGROẞE Straße\u00a0ﬁne 東京\u3000都 Đường 1.234,50 x_y"


@pytest.mark.parametrize("change", [str, str.upper, str.lower, str.swapcase], ids=lambda change: change.__name__)
@pytest.mark.parametrize("across", [True, False])
def test_no_token_that_goes_on_a_span_is_held_back(change: Callable[[str], str], across: bool) -> None:
    spans = Spans(DOCUMENT, across)
    text = change(DOCUMENT)
    places = range(len(text))
    pieces = sorted({text[at : at + length] for at in places for length in (1, 2, 3, 4, 6)} | {" ", "\u2003", "Σ", "ς"})
    starts = TokenStarts.of([piece.encode() for piece in pieces])
    let_through = 0
    for at in places:
        for length in range(8):
            before = text[at : at + length]
            if not spans.begins(before):
                continue
            following, after_blank = spans.following(before)
            possible = starts.possible(following, after_blank=after_blank)
            goes_on = [spans.begins(before + piece) for piece in pieces]
            held_back = [piece for piece, goes, may in zip(pieces, goes_on, possible, strict=True) if goes and not may]
            assert not held_back, before
            let_through += int(possible.sum()) - sum(goes_on)
    assert let_through < 0.5 * len(places) * 8 * len(pieces), "most of the others are"
