"""Annotations of a PDF page: which are part of what a person reads there, and what they say."""

from dataclasses import dataclass, field

from appliance.documents.pdf_forms import Drawing, FormField, form_field, plain_of_rich
from appliance.documents.pdf_objects import Dictionary, PdfObjects

_HIDDEN, _NO_VIEW = 2, 32
"""Flags of annotations that no screen shows."""
_COMMENTS = frozenset(
    "Text Highlight Underline Squiggly StrikeOut Caret Line Square Circle Polygon PolyLine Ink".split()
)
_NOT_DRAWN = (_COMMENTS - {"Square", "Polygon"}) | {
    "Popup",
    "Link",
    "FileAttachment",
    "Redact",
    "PrinterMark",
    "TrapNet",
}
"""Signs for a comment and the like. What a form was filled in with, what was typed or stamped on top, areas that may
cover something and kinds that only some programs know are part of what is seen."""
_MEDIA = frozenset(("Sound", "Movie", "Screen", "RichMedia", "3D"))
_MAX_ANNOTATIONS = 50_000
"""On one page."""


@dataclass
class PageAnnotations:
    """What the annotations of a page say."""

    fields: list[FormField] = field(default_factory=list)
    undrawn: list[int] = field(default_factory=list)
    """Those that must not be drawn, by their place in the list of the page."""
    comments: list[str] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    """Those that hold a file."""
    has_drawn: bool = False
    """Whether any is drawn as part of the page."""
    hidden: int = 0
    passwords: int = 0
    media: int = 0
    redactions: int = 0
    left_out: int = 0
    """Those beyond the limit."""


def page_annotations(objects: PdfObjects, page: Dictionary, in_hidden_layers: set[int]) -> PageAnnotations:
    """What the annotations of a page say.

    Args:
        in_hidden_layers: Where the dictionaries begin that belong to a layer that is off.
    """
    result = PageAnnotations()
    listed = objects.array(page, "Annots")
    result.left_out = max(len(listed) - _MAX_ANNOTATIONS, 0)
    for index, value in enumerate(listed[:_MAX_ANNOTATIONS]):
        annotation = objects.resolve(value)
        if isinstance(annotation, Dictionary):
            _add(objects, annotation, index, in_hidden_layers, result)
    return result


def _add(
    objects: PdfObjects, annotation: Dictionary, index: int, in_hidden_layers: set[int], result: PageAnnotations
) -> None:
    kind = objects.text(annotation, "Subtype")
    flags = objects.entry(annotation, "F")
    is_hidden = isinstance(flags, float) and bool(int(flags) & (_HIDDEN | _NO_VIEW))
    widget = form_field(objects, annotation) if kind == "Widget" else None
    contents = " ".join(_says(objects, annotation).split())
    if is_hidden or annotation.start in in_hidden_layers:
        result.undrawn.append(index)
        says = widget.text if widget else contents if kind in _COMMENTS or kind not in _NOT_DRAWN else ""
        result.hidden += bool(says)
        return
    result.has_drawn = result.has_drawn or kind not in _NOT_DRAWN
    if widget is not None:
        _add_field(widget, index, result)
    elif kind in ("FreeText", "Stamp") and objects.entry(annotation, "AP", "N") is None:
        _add_undrawn(objects, annotation, kind, result)
    elif kind in _COMMENTS and contents and objects.entry(annotation, "StateModel") is None:
        author = " ".join(objects.text(annotation, "T").split())
        result.comments.append(f"[comment by {author}] {contents}" if author else f"[comment] {contents}")
    if kind == "FileAttachment":
        result.files.append(index)
    result.media += kind in _MEDIA
    result.redactions += kind == "Redact"


def _add_field(widget: FormField, index: int, result: PageAnnotations) -> None:
    result.passwords += widget.is_password
    result.fields.append(widget)
    if widget.drawing is Drawing.REPLACED:
        result.undrawn.append(index)


def _add_undrawn(objects: PdfObjects, annotation: Dictionary, kind: str, result: PageAnnotations) -> None:
    """What viewers draw by themselves where the file does not say how."""
    text = _says(objects, annotation) or (objects.text(annotation, "Name") if kind == "Stamp" else "")
    box = objects.box(annotation, "Rect")
    lines = tuple(filter(None, (" ".join(line.split()) for line in text.replace("\r", "\n").splitlines())))
    if lines and box:
        result.fields.append(FormField(lines, box, Drawing.REPLACED))


def _says(objects: PdfObjects, annotation: Dictionary) -> str:
    """The text of an annotation, if only from its formatted form."""
    return objects.text(annotation, "Contents") or plain_of_rich(objects.text(annotation, "RC"))
