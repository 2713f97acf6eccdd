"""HTML to lines: blocks end lines, cells of a table row are separated by tabs, scripts and hidden parts are dropped."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser

from appliance.documents import plain
from appliance.documents.declared_charset import decode_declared
from appliance.documents.html_charset import declared_charset
from appliance.documents.html_forms import Choice, input_text
from appliance.documents.html_formulas import Formulas
from appliance.documents.html_lists import OpenList, open_list
from appliance.documents.html_nesting import Nesting, OpenElement
from appliance.documents.html_notes import PageFindings
from appliance.documents.html_styles import StyleSheets, has_size, is_visible, media_matches, removes
from appliance.documents.html_tables import Table
from appliance.documents.raised_digits import ENDED, LOWERED, RAISED, settled

_BLOCKS = frozenset(
    "address article aside blockquote body br center dd details dialog dir div dl dt fieldset figcaption figure footer"
    " form frame frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre search section"
    " summary table tbody text tfoot thead tr ul xmp listing".split()
)
_DROPPED = frozenset(
    "script style template noscript noframes noembed title object iframe applet canvas audio video datalist desc"
    " metadata annotation annotation-xml rt rp rtc defs symbol".split()
)
"""Elements whose content is not part of what is read; `desc`, `title` and the like stand in drawings and formulas."""
_UNSEEN_BUT_TEXT = frozenset(("template", "noscript"))
_MEDIA = frozenset("object applet canvas audio video embed".split())
_VOID = frozenset(
    "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr".split()
)
_INLINE_OR_BOX = frozenset("a b i u s em strong span font small big tt code div section center".split())
_LINES_KEPT = frozenset(("pre", "textarea", "listing", "xmp"))
_HIDING = ("hidden", "popover")
_DRAWN_GROUPS, _SURE_LOOKS = frozenset("g text tspan textpath".split()), ("display", "visibility")
"""Elements of a drawing, and the looks that their attributes say."""
_MAX_NESTED = 100
"""Lists and tables inside each other that are told apart."""
_MAX_FRAMES_DEEP = 3
_MAX_PLAIN_DEEP = 2000
"""Elements in each other beyond which those that neither hide nor lay out anything are not kept in mind."""
_SHEET_OR_OTHER = re.compile(r"<(?:!--|(style|script|textarea|template|noscript|title|xmp|iframe)\b)")
_TYPE_OF_SHEET = re.compile(r"\btype\s*=\s*[\"']?([^\"'>\s]*)")
_MEDIA_OF_SHEET = re.compile(r"media\s*=\s*[\"']?([^\"'>]*)")
_BLANKS = re.compile(r"[^\S\t]+")


def read_html(data: bytes) -> tuple[str, list[str]]:
    """Text and notes of an HTML file."""
    text, notes = _decode(data)
    lines, page_notes = html_text(text)
    return lines, notes + page_notes


def html_text(markup: str) -> tuple[str, list[str]]:
    """Text of the markup as lines, and notes on what was left out."""
    parser = _parsed(markup, 0)
    return parser.text(), parser.findings.notes()


def _parsed(markup: str, frames_deep: int) -> "_LineParser":
    parser = _LineParser(_own_sheets(markup), frames_deep)
    parser.feed(_with_whole_tags(markup))
    parser.close()
    parser.end()
    return parser


def _with_whole_tags(markup: str) -> str:
    """The markup, in which tags and comments that never end are text: they would be looked at over and over."""
    end = markup.rfind(">") + 1
    markup = markup[:end] + markup[end:].replace("<", "&lt;")
    end = markup.rfind("-->") + 1
    return markup[:end] + markup[end:].replace("<!--", "&lt;!--")


def _own_sheets(markup: str) -> StyleSheets:
    """The style sheets that the page holds itself; one counts for what stands before it, too."""
    lowered = markup.replace("\u0130", "i").lower()  # the one letter whose small form is longer
    sheets = StyleSheets(scripts_run="<script" in lowered)
    position = 0
    while opening := _SHEET_OR_OTHER.search(lowered, position):
        if opening.group(1) is None:
            # A sheet for one program alone stands in a comment.
            position = lowered.find("-->", opening.end())
        else:
            opened = lowered.find(">", opening.end())
            position = lowered.find("</" + opening.group(1), opened) if opened >= 0 else -1
            if opened >= 0 and opening.group(1) == "style" and _counts_here(lowered[opening.end() : opened][:1000]):
                sheets.add(markup[opened + 1 : position if position >= 0 else len(markup)])
        if position < 0:
            break
    return sheets


def _counts_here(attributes: str) -> bool:
    """Whether a sheet with these attributes is one of styles, and for a screen."""
    media, kind = _MEDIA_OF_SHEET.search(attributes), _TYPE_OF_SHEET.search(attributes)
    return (media is None or media_matches(media.group(1))) and (kind is None or kind.group(1) in ("", "text/css"))


def _decode(data: bytes) -> tuple[str, list[str]]:
    declared = declared_charset(data)
    return decode_declared(data, declared) if declared else plain.decode(data)


class _LineParser(HTMLParser):
    """Collects lines, and knows for each element whether a person sees it."""

    def __init__(self, sheets: StyleSheets, frames_deep: int) -> None:
        super().__init__(convert_charrefs=True)
        self.findings = PageFindings()
        self._sheets = sheets
        self._frames_deep = frames_deep
        self._nesting = Nesting()
        self._choice: Choice | None = None
        """The list of options that is open."""
        self._lines: list[str] = []
        self._parts: list[str] = []
        self._pre = 0
        self._tables: list[Table] = []
        """Open tables."""
        self._formulas = Formulas()
        self._lists: list[OpenList] = []
        self._number = ""
        """Of the entry whose first line has not come yet."""

    def parse_marked_section(self, start: int, report: bool = True) -> int:
        """As a browser takes `<![ if x]>`: a comment up to the next end of a tag."""
        try:
            return super().parse_marked_section(start, report)
        except AssertionError:
            return self.parse_bogus_comment(start, report)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens an element, after those end that its start implies to have ended."""
        for element in self._nesting.closed_by_start(tag):
            self._end_element(element)
        if self._choice is not None and tag in ("input", "textarea", "select", "keygen"):
            self.handle_endtag("select")
        parent = self._nesting.innermost
        if parent is not None and parent.tag == "title":
            self.handle_endtag("title")  # no element can stand in a title
            parent = self._nesting.innermost
        element = self._element(tag, dict(attrs), parent)
        shown = not (element.is_removed or element.is_dropped)
        if shown:
            self._begin_shown(element)
            self._parts.append(self._formulas.begin(element, parent))
        elif parent is None or not (parent.is_removed or parent.is_dropped):
            self.findings.hidden = self.findings.hidden or (element.is_removed and tag not in _VOID)
            self._note_dropped(element)
        looks = (parent.is_visible, parent.has_size) if parent is not None else (True, True)
        is_plain = shown and looks == (element.is_visible, element.has_size) and tag in _INLINE_OR_BOX
        if tag not in _VOID and not (is_plain and self._nesting.count > _MAX_PLAIN_DEEP):
            self._nesting.push(element)

    def _element(self, tag: str, attributes: dict[str, str | None], parent: OpenElement | None) -> OpenElement:
        """The element with what is known of its looks."""
        is_removed = parent is not None and parent.is_removed
        is_dropped = (tag in _DROPPED and not _is_shadow(tag, attributes)) or (parent is not None and parent.is_dropped)
        visible = parent is None or parent.is_visible
        sized = parent is None or parent.has_size
        if is_removed or is_dropped or not (attributes or self._sheets.rules):
            closed_dialog = tag == "dialog" and "open" not in attributes
            by_tag = (tag == "sup", tag == "sub")
            return OpenElement(tag, attributes, is_removed or closed_dialog, visible, sized, is_dropped, *by_tag)
        ancestors = self._nesting.ancestors() if self._sheets.needs_ancestors else []
        style = self._sheets.declarations((tag, attributes), ancestors)
        if tag in _DRAWN_GROUPS:
            style = {name: (attributes[name] or "").strip() for name in _SURE_LOOKS if name in attributes} | style
        if tag in ("html", "body") or not (style or tag == "dialog" or any(one in attributes for one in _HIDING)):
            # A page that hides itself as a whole does so until a script has run.
            return OpenElement(tag, attributes, False, visible, sized, is_dropped, tag == "sup", tag == "sub")
        hides_itself = any(one in attributes for one in _HIDING) or (tag == "dialog" and "open" not in attributes)
        is_removed = removes(style) or (hides_itself and "display" not in style)
        seen = is_visible(style, visible), has_size(style, sized)
        place = style.get("vertical-align", "").partition("!")[0] if tag in _INLINE_OR_BOX else ""
        is_raised, is_lowered = tag == "sup" or place == "super", tag == "sub" or place == "sub"
        return OpenElement(tag, attributes, is_removed, *seen, is_dropped, is_raised, is_lowered)

    def _begin_shown(self, element: OpenElement) -> None:
        tag, attributes = element.tag, element.attributes
        if tag in _BLOCKS or tag in ("td", "th"):
            self._end_line()
        self._open_table_part(tag, attributes)
        if tag in _LINES_KEPT:
            self._pre += 1
        elif tag in ("ol", "ul", "menu", "dir") and len(self._lists) < _MAX_NESTED:
            self._lists.append(open_list(tag, attributes))
        elif tag == "li" and self._lists:
            self._number = self._lists[-1].label(attributes.get("value")) or self._number
        elif element.is_raised or element.is_lowered:
            self._parts.append(RAISED if element.is_raised else LOWERED)
        elif tag == "button":
            self._parts.append(" ")
        elif tag == "select":
            self._choice = Choice(attributes)
        elif tag == "option" and self._choice is not None:
            self._choice.begin_option(attributes)
        elif tag == "input" and element.is_visible and element.has_size:
            self._parts.append(f" {input_text(attributes, self.findings)} ")
        self.findings.see(tag, attributes)

    def _note_dropped(self, element: OpenElement) -> None:
        self.findings.readings += element.tag == "rt" and not element.is_removed
        if element.tag in _MEDIA and not element.is_removed:
            self.findings.media += 1
        elif element.tag == "iframe" and not element.is_removed:
            self._read_frame(element.attributes.get("srcdoc"), element.attributes.get("src") or "")

    def _read_frame(self, markup: str | None, source: str) -> None:
        """Reads a page that stands inside this one; what lies elsewhere is noted."""
        if markup is None or self._frames_deep >= _MAX_FRAMES_DEEP:
            self.findings.frames.append(source)
            return
        inner = _parsed(markup, self._frames_deep + 1)
        self._end_line()
        for line in inner.text().split("\n"):
            if line:
                self._put(line)
        self.findings.add(inner.findings)

    def handle_endtag(self, tag: str) -> None:
        """Ends an element and those in it that are still open."""
        closed = self._nesting.closed_by_end(tag)
        for element in closed:
            self._end_element(element)
        innermost = self._nesting.innermost
        if not closed and tag in _BLOCKS and not (innermost and (innermost.is_removed or innermost.is_dropped)):
            self._end_line()

    def end(self) -> None:
        """Ends all that is open."""
        for element in self._nesting.all_open():
            self._end_element(element)

    def _end_element(self, element: OpenElement) -> None:
        if element.is_removed or element.is_dropped:
            return
        tag = element.tag
        self._formulas.end(element)
        if tag == "select" and self._choice is not None:
            choice, self._choice = self._choice, None
            self._parts.append(choice.text())
        if tag in _BLOCKS or tag in ("td", "th"):
            self._end_line()
        if tag in ("tr", "table"):
            self._end_row()
            if tag == "table" and self._tables:
                self._end_table()
        if tag in _LINES_KEPT and self._pre:
            self._pre -= 1
        elif tag in ("ol", "ul", "menu", "dir") and self._lists:
            self._lists.pop()
        elif tag == "li":
            self._number = ""
        elif element.is_raised or element.is_lowered:
            self._parts.append(ENDED)
        elif tag == "button":
            self._parts.append(" ")

    def _open_table_part(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        if tag == "table" and len(self._tables) < _MAX_NESTED:
            row = self._tables[-1].row if self._tables else None
            if row is not None:
                row.has_table = True
            self._tables.append(Table())
        elif tag == "tr" and self._tables:
            self._end_row()
            self._tables[-1].begin_row()
        elif tag in ("td", "th") and self._tables:
            self._tables[-1].begin_cell(tag, attributes)

    def _end_row(self) -> None:
        """Ends the open row of the innermost table."""
        if self._tables and self._tables[-1].row is not None:
            self._end_line()
            self._tables[-1].end_row()

    def _end_table(self) -> None:
        """Writes the innermost table to where it stands."""
        self._end_row()
        for line in self._tables.pop().lines():
            self._put(line)

    def _put(self, line: str) -> None:
        """Adds a line to the innermost open cell, or to the page."""
        for table in reversed(self._tables):
            if table.row is not None and table.row.cells:
                table.row.cells[-1].lines.append(line)
                return
        self._lines.append(line)

    def handle_data(self, data: str) -> None:
        """Adds text, where a person sees it."""
        element = self._nesting.innermost
        if element is not None:
            if element.is_removed or element.is_dropped:
                if element.tag in _UNSEEN_BUT_TEXT and not data.isspace():
                    self.findings.hidden = True
                return
            if not (element.is_visible and element.has_size):
                self.findings.hidden = self.findings.hidden or not data.isspace()
                return
        if self._choice is not None:
            self._choice.add(data)
        elif not self._pre:
            self._parts.append(data.replace("\t", " ").replace("\n", " ").replace("\r", " "))
        else:
            self._add_lines(data)

    def _add_lines(self, data: str) -> None:
        for number, line in enumerate(data.splitlines() or [""]):
            if number:
                self._end_line()
            self._parts.append(line)
        if data.endswith("\n"):
            self._end_line()

    def text(self) -> str:
        """All lines so far."""
        self._end_line()
        while self._tables:
            self._end_table()
        return "\n".join(self._lines)

    def _end_line(self) -> None:
        joined = settled("".join(self._parts))
        self._parts = []
        if self._pre:
            line = joined.rstrip()
        else:
            cells = (_BLANKS.sub(" ", cell).strip() for cell in joined.split("\t"))
            line = "\t".join(cell for cell in cells if cell)
        if line:
            self._put(self._number + line)
            self._number = ""


def _is_shadow(tag: str, attributes: dict[str, str | None]) -> bool:
    """Whether this is the inside of an element, which is shown, rather than a template."""
    return tag == "template" and ("shadowrootmode" in attributes or "shadowroot" in attributes)
