"""What people said about the cells of a workbook: comments of the old form, and threads of the new one."""

from dataclasses import dataclass

from appliance.documents.archive import Package
from appliance.documents.sheet_strings import shown_string

_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_THREAD = "{http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments}"


def read_people(package: Package, name: str) -> dict[str, str]:
    """Names of those who comment, by id."""
    names: dict[str, str] = {}
    for part in package.related(name, "person"):
        root = package.parse_if_there(part)
        for person in root.iter(_THREAD + "person") if root is not None else ():
            names[person.get("id", "")] = person.get("displayName", "")
    return names


@dataclass(frozen=True)
class CommentLine:
    """A comment, and the cell that it is on."""

    cell: str
    text: str


def comment_lines(package: Package, name: str, people: dict[str, str]) -> list[CommentLine]:
    """The comments on the cells of a sheet; `people` are names by id."""
    said: list[CommentLine] = []
    threaded: set[str] = set()
    for part in package.related(name, "threadedComment"):
        root = package.parse_if_there(part)
        for comment in root.iter(_THREAD + "threadedComment") if root is not None else ():
            threaded.add(comment.get("ref", ""))
            author = people.get(comment.get("personId", ""), "")
            said.append(_comment(comment.get("ref", ""), author, comment.findtext(_THREAD + "text") or ""))
    for part in package.related(name, "comments"):
        root = package.parse_if_there(part)
        authors = [author.text or "" for author in root.iter(_SHEET + "author")] if root is not None else []
        for comment in root.iter(_SHEET + "comment") if root is not None else ():
            # A thread is also stored as an old comment, for old programs.
            if comment.get("ref", "") not in threaded:
                written = comment.get("authorId", "")
                index = int(written) if written.isascii() and written.isdigit() and len(written) < 10 else len(authors)
                text = "".join(piece.text or "" for piece in comment.iter(_SHEET + "t"))
                said.append(_comment(comment.get("ref", ""), authors[index] if index < len(authors) else "", text))
    return said


def _comment(cell: str, author: str, text: str) -> CommentLine:
    return CommentLine(cell, f"[comment on {cell[:10]} by {author}] {' '.join(shown_string(text).split())}")
