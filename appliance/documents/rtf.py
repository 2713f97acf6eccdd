"""Rich text (RTF) to text: paragraphs as lines, table rows with tabs, list marks as they stand, pictures left out.

Source: Rich Text Format (RTF) Specification, version 1.9.1.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.documents.code_pages import CHARSETS, known_encoding
from appliance.documents.problems import DocumentError, Problem
from appliance.documents.raised_digits import lowered, raised, settled
from appliance.documents.rtf_stream import Stream
from appliance.documents.rtf_words import LINE_ENDS, SIGNS, SKIPPED, STARRED_TEXT, STREAMS, SYMBOLS, UNREAD
from appliance.documents.text_lines import Lines
from appliance.documents.word_symbols import symbol_field_text, symbol_text
from appliance.ground.text import human_count

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?[0-9]{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)|[\r\n\\]+"
)
_MAX_GROUPS = 10_000
_CHECK_BOX, _NO_STATE = 1, 25
_MAX_INSTRUCTION = 300
_FONT_NAME = re.compile(rb"[g-zG-Z]")
"""Before the name may stand twenty hexadecimal digits that say what the font looks like."""
_SYMBOL_CHARSET = 2


@dataclass(frozen=True)
class _Group:
    """What holds inside a pair of braces."""

    skipped: bool = False
    hidden: bool = False
    paragraph_hidden: bool = False
    """Whether the style of the paragraph hides it."""
    deleted: bool = False
    fallback: int = 1
    """Characters after a Unicode character that repeat it for old programs."""
    encoding: str = "cp1252"
    stream: str = "body"
    in_table: bool = False
    font_table: bool = False
    style_sheet: bool = False
    starred: bool = False
    symbol_font: str | None = None
    """Name of the font whose signs stand at the places of letters; None for a font of letters."""
    place: str = ""
    """Whether text stands above the line (`super`) or below it (`sub`)."""
    struck: bool = False
    in_result: bool = False
    """Whether the text of a shape is repeated for old programs."""
    replaced: bool = False
    """Whether the groups inside are older forms of a text, but for the one in Unicode."""

    @property
    def is_left_out(self) -> bool:
        """Whether text is hidden or deleted."""
        return self.hidden or self.paragraph_hidden or self.deleted


def read_rtf(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of an RTF file.

    Raises:
        DocumentError: Its groups are nested without end, or it is too large.
    """
    reader = _Reader()
    reader.read(data.lstrip(b"\xef\xbb\xbf \t\r\n").rstrip(b"\x00\x1a \r\n"))
    lines = Lines()
    for name in ("before", "body", "after"):
        stream = reader.streams[name]
        if stream.parts or stream.cells:
            stream.end_line()
        lines.add_all(stream.lines)
    notes = ["hidden text was left out"] if reader.hidden else []
    notes += ["deleted text of tracked changes was left out"] if reader.deleted else []
    notes += ["signs of a symbol font were left out"] if reader.has_unknown_signs else []
    notes += ["struck-out text was read as the rest"] if reader.has_struck else []
    listed = ", ".join(human_count(count, name) for name, count in sorted(reader.unread.items()))
    notes += [f"parts of the file that were not read: {listed}"] if listed else []
    return settled(lines.text()).strip("\n") + "\n", notes


class _Reader:
    """Walks over the tokens with a stack of its own, so that nesting costs no recursion."""

    def __init__(self) -> None:
        self.streams = {name: Stream() for name in ("before", "body", "after")}
        self.hidden = False
        self.deleted = False
        self.has_struck = False
        self.unread: Counter[str] = Counter()
        self._style = 0
        self._form: list[int] | None = None
        """States of a box whose result comes next."""
        self._shape_property = b""
        self._instruction: bytearray | None = None
        """Of the field whose instruction is being read."""
        self._row_merges: list[bool] = []
        """For each cell of a row, whether the one above it or before it covers it."""
        self._is_merged = False
        self._symbol_fonts: dict[int, str] = {}
        self.has_unknown_signs = False
        self._hidden_styles: set[int] = set()
        self._group = _Group()
        self._stack: list[_Group] = []
        self._bytes = bytearray()
        self._to_skip = 0
        self._high = 0
        self._default = "cp1252"
        self._default_font = 0
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._words: dict[bytes, Callable[[int | None], None]] = {
            b"u": self._unicode, b"ansicpg": self._code_page, b"mac": lambda _: self._set_default("mac_roman"),
            b"pc": lambda _: self._set_default("cp437"), b"pca": lambda _: self._set_default("cp850"),
            b"f": self._use_font, b"fcharset": self._charset, b"deff": self._set_default_font,
            b"uc": lambda number: self._change(fallback=min(max(number or 0, 0), 64)),
            b"v": lambda number: self._hide(number != 0), b"deleted": lambda number: self._change(deleted=number != 0),
            b"mvf": lambda number: self._change(deleted=number != 0),
            b"super": lambda number: self._change(place="super" if number != 0 else ""),
            b"sub": lambda number: self._change(place="sub" if number != 0 else ""),
            b"nosupersub": lambda _: self._change(place=""), b"shprslt": lambda _: self._change(in_result=True),
            b"strike": lambda number: self._change(struck=number != 0),
            b"striked": lambda number: self._change(struck=number != 0),
            b"fftype": self._begin_form, b"ffres": self._set_form, b"ffdefres": self._set_form,
            b"fldrslt": lambda _: self._begin_result(), b"trowd": lambda _: self._begin_row(),
            b"clmrg": lambda _: self._merge(), b"clvmrg": lambda _: self._merge(),
            b"cellx": lambda _: self._end_merge(),
            b"s": lambda number: self._use_style(number, True), b"cs": lambda number: self._use_style(number, False),
            b"plain": lambda _: self._plain(), b"pard": lambda _: self._change(in_table=False, paragraph_hidden=False),
            b"intbl": lambda _: self._change(in_table=True), b"cell": lambda _: self._cell(),
            b"nestcell": lambda _: self._add("  "), b"row": lambda _: self._row(), b"nestrow": lambda _: self._add(" "),
        }  # fmt: skip

    def read(self, data: bytes) -> None:
        """Takes the whole file."""
        position, end = 0, len(data)
        while position < end:
            token = _TOKEN.match(data, position)
            if token is None:  # a lone backslash at the end
                break
            position = token.end()
            word, number, code, symbol, brace, text = token.groups()
            if word is not None:
                amount = int(number) if number else None
                if word == b"bin":
                    position += max(amount or 0, 0)
                else:
                    self._word(word, amount)
            elif code is not None:
                self._byte(int(code, 16))
            elif symbol is not None:
                self._symbol(symbol)
            elif brace == b"{":
                self._open()
            elif brace == b"}":
                self._close()
            elif text is not None:
                self._plain_bytes(text)
        self._flush()

    def _open(self) -> None:
        self._flush()
        if len(self._stack) >= _MAX_GROUPS:
            raise DocumentError(Problem.TOO_LARGE, f"the document is nested deeper than {_MAX_GROUPS:,} groups")
        self._stack.append(self._group)
        skipped = self._group.skipped or self._group.replaced
        self._group = replace(self._group, starred=False, skipped=skipped)

    def _close(self) -> None:
        self._flush()
        self._to_skip = 0
        if self._stack:
            inner, self._group = self._group, self._stack.pop()
            if inner.stream != self._group.stream:
                self.streams[inner.stream].end_line()

    def _word(self, word: bytes, number: int | None) -> None:
        was_skipped = self._group.skipped
        if self._group.starred and word == b"ud" and self._group.replaced:
            self._change(starred=False, replaced=False, skipped=self._stack[-1].skipped)
        elif self._group.starred:
            is_text = word in STARRED_TEXT and not (word == b"do" and self._group.in_result)
            self._change(starred=False, skipped=self._group.skipped or not is_text)
        if word in SKIPPED:
            self._flush()
            if word == b"fldinst":
                self._instruction = bytearray()
            if word in UNREAD and not was_skipped:
                self.unread[UNREAD[word]] += 1
            self._change(
                skipped=True,
                font_table=self._group.font_table or word == b"fonttbl",
                style_sheet=self._group.style_sheet or word == b"stylesheet",
            )
        elif word == b"upr":
            self._change(replaced=True)
        elif word in STREAMS and not self._group.skipped:
            self._flush()
            self._change(stream=STREAMS[word])
        elif word in LINE_ENDS:
            self._end_paragraph()
        elif word in SIGNS:
            self._add(SIGNS[word])
        elif word in self._words:
            self._words[word](number)

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._change(starred=True)
        elif symbol in (b"\n", b"\r"):
            self._end_paragraph()
        elif symbol in SYMBOLS:
            if self._to_skip:
                self._to_skip -= 1
            else:
                self._add(SYMBOLS[symbol])

    def _byte(self, code: int) -> None:
        if self._to_skip:
            self._to_skip -= 1
        elif not self._group.skipped:
            self._bytes.append(code)

    def _plain_bytes(self, text: bytes) -> None:
        if self._group.skipped:
            self._note_property(text)
            if self._instruction is not None and len(self._instruction) < _MAX_INSTRUCTION:
                self._instruction += text
            if self._group.font_table and self._symbol_fonts.get(self._font) == "" and _FONT_NAME.search(text):
                self._symbol_fonts[self._font] = text.partition(b";")[0].decode("latin-1")[:60]
            return
        skipped = min(self._to_skip, len(text))
        self._to_skip -= skipped
        self._bytes += text[skipped:]

    def _note_property(self, text: bytes) -> None:
        """Names and values of what a shape is like; one that is hidden hides the group around both."""
        if text.strip() == b"fHidden":
            self._shape_property = b"fHidden"
        elif self._shape_property:
            if text.strip() not in (b"", b"0") and len(self._stack) > 1:
                self._stack[-2] = replace(self._stack[-2], hidden=True)
            self._shape_property = b""

    def _unicode(self, number: int | None) -> None:
        self._flush()
        self._to_skip = self._group.fallback
        code = (number or 0) & 0xFFFF
        if 0xD800 <= code < 0xDC00:
            self._high = code
            return
        if 0xDC00 <= code < 0xE000 and self._high:
            code = 0x10000 + ((self._high - 0xD800) << 10) + code - 0xDC00
        self._high = 0
        # Symbol fonts put their signs into the private area; 0x20 to 0xFF are what the keys say.
        place = code - 0xF000 if 0xF020 <= code <= 0xF0FF else code
        self._add(chr(place) if self._group.symbol_font is None or place > 0xFF else self._signs(bytes((place,))))

    def _add(self, text: str) -> None:
        self._flush()
        if self._group.skipped:
            return
        if self._group.is_left_out:
            self.deleted = self.deleted or (self._group.deleted and bool(text.strip()))
            self.hidden = self.hidden or (not self._group.deleted and bool(text.strip()))
            return
        self.has_struck = self.has_struck or (self._group.struck and bool(text.strip()))
        if self._group.place:
            text = raised(text) if self._group.place == "super" else lowered(text)
        self.streams[self._group.stream].parts.append(text)

    def _flush(self) -> None:
        """Bytes so far become text; those of two-byte characters had to be collected first."""
        if self._bytes:
            written = bytes(self._bytes)
            self._bytes.clear()
            is_letters = self._group.symbol_font is None
            self._add(written.decode(self._group.encoding, "replace") if is_letters else self._signs(written))

    def _signs(self, places: bytes) -> str:
        """Signs of a symbol font; a blank is one in every font."""
        font = (self._group.symbol_font or "").strip()
        signs = [" " if place == 0x20 else symbol_text(font, f"{place:X}") for place in places]
        self.has_unknown_signs = self.has_unknown_signs or (not self._group.skipped and "" in signs)
        return "".join(signs)

    def _end_paragraph(self) -> None:
        self._flush()
        if self._group.skipped or self._group.is_left_out:
            return
        if self._group.in_table:
            self._add(" ")
        else:
            self.streams[self._group.stream].end_line()

    def _cell(self) -> None:
        self._flush()
        if self._group.skipped:
            return
        stream = self.streams[self._group.stream]
        place = len(stream.cells)
        if place < len(self._row_merges) and self._row_merges[place]:
            self.hidden = self.hidden or any(part.strip() for part in stream.parts)
            stream.parts = []
        stream.end_cell()

    def _begin_row(self) -> None:
        self._row_merges, self._is_merged = [], False

    def _merge(self) -> None:
        self._is_merged = True

    def _end_merge(self) -> None:
        if len(self._row_merges) < _MAX_GROUPS:
            self._row_merges.append(self._is_merged)
        self._is_merged = False

    def _row(self) -> None:
        self._flush()
        stream = self.streams[self._group.stream]
        if self._group.is_left_out and not any(cell.strip() for cell in stream.cells):
            stream.cells = []
        elif not self._group.skipped:
            stream.end_row()

    def _change(self, **changes: bool | int | str | None) -> None:
        self._flush()
        self._group = replace(self._group, **changes)  # type: ignore[arg-type]

    def _hide(self, hidden: bool) -> None:
        if self._group.style_sheet and hidden:
            self._hidden_styles.add(self._style)
        self._change(hidden=hidden, paragraph_hidden=hidden and self._group.paragraph_hidden)

    def _use_style(self, number: int | None, of_paragraph: bool) -> None:
        """A style of paragraphs or of characters; inside the sheet of styles the one that is defined."""
        self._style = number or 0
        if self._group.style_sheet:
            return
        hides = self._style in self._hidden_styles
        if of_paragraph:
            self._change(paragraph_hidden=hides)
        elif hides:
            self._change(hidden=True)

    def _begin_form(self, number: int | None) -> None:
        self._form = [] if number == _CHECK_BOX else None

    def _set_form(self, number: int | None) -> None:
        """The state of a box, then its state at first; the former may say that there is none."""
        if self._form is not None and number != _NO_STATE:
            self._form.append(number or 0)

    def _begin_result(self) -> None:
        """The result of a field; that of a sign is often empty, as its instruction says what it shows."""
        self._show_form()
        sign = symbol_field_text((self._instruction or b"").decode("latin-1"))
        self._instruction = None
        if sign is not None and not self._group.skipped:
            self.has_unknown_signs = self.has_unknown_signs or not sign
            self._add(sign)
            self._change(skipped=True)

    def _show_form(self) -> None:
        """A box has no other result than its state."""
        form, self._form = self._form, None
        if form is not None:
            self._add("\u2612" if form and form[0] else "\u2610")

    def _plain(self) -> None:
        self._change(hidden=False, deleted=False, struck=False, place="")
        self._use_font(self._default_font)

    def _set_default(self, encoding: str) -> None:
        self._default = encoding
        self._change(encoding=encoding)

    def _code_page(self, number: int | None) -> None:
        self._set_default(known_encoding(number or 1252))

    def _set_default_font(self, number: int | None) -> None:
        self._default_font = number or 0

    def _use_font(self, number: int | None) -> None:
        self._font = number or 0
        if not self._group.font_table:
            encoding = self._fonts.get(self._font, self._default)
            self._change(encoding=encoding, symbol_font=self._symbol_fonts.get(self._font))

    def _charset(self, number: int | None) -> None:
        if self._group.font_table:
            if number == _SYMBOL_CHARSET:
                self._symbol_fonts[self._font] = ""
            # Charset 1 is the default one, 2 belongs to symbol fonts.
            self._fonts[self._font] = CHARSETS.get(number or 0, self._default) if number else self._default
