"""What a PDF reader found besides text, and the notes that say so."""

from dataclasses import dataclass, field

from appliance.documents.pdf_annotations import PageAnnotations
from appliance.documents.pdf_glyphs import GlyphCounts
from appliance.documents.pdf_hidden import HiddenText
from appliance.documents.problems import DocumentError, Problem
from appliance.ground.text import human_count


@dataclass
class PdfFindings:
    """Counts over the pages of a document."""

    empty_pages: int = 0
    recognised: int = 0
    unread_scans: int = 0
    is_copied: bool = True
    """Whether the objects of the file could be looked at."""
    is_matched: bool = True
    """Whether the pages are those that the objects of the file list."""
    fields_without_place: int = 0
    form_values: int = 0
    placeholder_pages: int = 0
    has_unread_form: bool = False
    unread_files: int = 0
    letters: int = 0
    lost_letters: int = 0
    """On pages on which too few are known for a text."""
    unknown: int = 0
    guessed: int = 0
    hidden: HiddenText = field(default_factory=HiddenText)
    hidden_annotations: int = 0
    disagreeing: int = 0
    passwords: int = 0
    media: int = 0
    redactions: int = 0
    left_out_annotations: int = 0

    def add_page(self, annotations: PageAnnotations, hidden: HiddenText, disagreeing: int) -> None:
        """Adds what one page has."""
        self.hidden.in_layers += hidden.in_layers
        self.hidden.outside += hidden.outside
        self.hidden.invisible += hidden.invisible
        self.hidden_annotations += annotations.hidden
        self.disagreeing += disagreeing
        self.passwords += annotations.passwords
        self.media += annotations.media
        self.redactions += annotations.redactions
        self.left_out_annotations += annotations.left_out

    def add_glyphs(self, counts: GlyphCounts) -> None:
        """Adds what is known of the letters of one page."""
        self.letters += counts.letters
        self.unknown += counts.unknown
        self.guessed += counts.guessed
        self.lost_letters += counts.lost if counts.are_lost else 0

    def no_text(self) -> DocumentError:
        """The failure of a document without text."""
        missing = self.unread_scans > 0
        hidden = self._hidden_parts()
        return DocumentError(
            Problem.EMPTY,
            "no page of the PDF has text"
            + ("; text recognition is not installed" if missing else "")
            + (f"; hidden text was left out: {', '.join(hidden)}" if hidden else ""),
            "install the extra: pip install 'stillroom[ocr]'" if missing else "",
        )

    def _hidden_parts(self) -> list[str]:
        counts = (
            (self.hidden.in_layers, "in layers that are switched off"),
            (self.hidden.outside, "outside of the visible page"),
            (self.hidden.invisible, "that cannot be seen"),
        )
        parts = [f"{human_count(count, 'piece')} {where}" for count, where in counts if count]
        return parts + ([human_count(self.hidden_annotations, "hidden field")] if self.hidden_annotations else [])

    def notes(self) -> list[str]:
        """What the person who looks at the row should know."""
        counts = (
            (self.empty_pages, "no text on {}", "page"),
            (self.unread_scans, "{} not read: text recognition is not installed", "scanned page"),
            (self.recognised, "text recognised in images on {}", "page"),
            (self.unknown, "{} unknown: the font does not say which it is", "character"),
            (self.guessed, "{} read by the code, as the font does not say which it is", "character"),
            (
                self.disagreeing,
                "the drawing of {} says something else than its value; the value was read",
                "form field",
            ),
            (self.passwords, "{} left out", "filled password field"),
            (self.fields_without_place, "{} left out: they have no place on a page", "filled form field"),
            (self.form_values, "{} read from the data of the form (XFA), which no page shows", "value"),
            (self.placeholder_pages, "{} left out: a placeholder for the form", "page"),
            (self.redactions, "{} marked to be blacked out, but still there", "passage"),
            (self.media, "{} not read", "sound, film or model"),
            (self.left_out_annotations, "{} not read: too many on one page", "annotation"),
            (self.unread_files, "{} not read: there are too many", "embedded file"),
        )
        notes = [text.format(human_count(count, noun)) for count, text, noun in counts if count]
        hidden = self._hidden_parts()
        if hidden:
            notes.append("hidden text was left out: " + ", ".join(hidden))
        if self.has_unread_form:
            notes.append("the PDF is a form of its own kind (XFA) whose data was not read; its pages may not show it")
        if not self.is_copied:
            notes.append("form fields, comments and layers were not examined: no plain copy of the PDF could be made")
        if not self.is_matched:
            notes.append("form fields and comments were not examined: the list of pages is broken")
        return notes
