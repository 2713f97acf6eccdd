"""Texts of the documents that a file of labels names in place of them."""

from pathlib import Path

from appliance.documents.named import NoDocument, read_named, text_of
from appliance.documents.sandbox import ReaderLimits
from appliance.ground.errors import UsageError
from appliance.tasks.labels import read_json_lines


def label_texts(labels_path: Path, folder: Path, limits: ReaderLimits) -> dict[str, str]:
    """Document -> its text, for the rows of a file of labels that name a document and give no text.

    Raises:
        UsageError: The file cannot be read, or a document of it cannot; named by file and line.
        ResourceError: The sandbox of the readers lacks a required part on this machine.
    """
    named: dict[str, int] = {}
    for number, record in read_json_lines(labels_path):
        if not isinstance(record.get("text"), str) and isinstance(name := record.get("document"), str):
            named.setdefault(name, number)
    replies = read_named(named, folder, limits)
    texts = {}
    for name, number in named.items():
        try:
            texts[name] = text_of(name, replies[name])[0]
        except NoDocument as error:
            raise UsageError(f"{labels_path}:{number}: {error.message}", "correct the line, or take it out") from error
    return texts
