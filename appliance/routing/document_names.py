"""Names of documents in the record of what left: keyed hashes, so that whoever has the key can search by name.

The record outlives the jobs, and a job's numbers mean nothing without it. A hash under a key of this installation
can be searched for and not be read: without the key nobody finds a name by trying.
"""

import hashlib
import hmac
import os
import unicodedata
from pathlib import Path, PurePosixPath

from appliance.documents.folder import document_name, document_path
from appliance.routing.installation_key import installation_key

NAMES_KEY = "names.key"


def names_key(directory: Path) -> bytes:
    """The key of the names in this record; made when it is first needed.

    Raises:
        ResourceError: It cannot be made, or others can read it.
    """
    return installation_key(directory, NAMES_KEY, "the key of document names")


def name_hashes(key: bytes, name: str) -> list[str]:
    """Hashes of a document's path in its folder and of its file name alone, in one form of letters with marks."""
    plain_name = unicodedata.normalize("NFC", name)
    parts = dict.fromkeys((plain_name, PurePosixPath(plain_name).name))
    return [
        hmac.digest(key, part.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()[:32] for part in parts if part
    ]


def searched_hashes(directory: Path, name: str) -> frozenset[str]:
    """What a record of this document holds one of, whether the name is a path or a file name; none where none can.

    A name that is no UTF-8 is understood as the shell hands it over, as the rows write it, and as a screen shows it.

    Raises:
        ResourceError: The key cannot be read.
    """
    if not name or not (directory / NAMES_KEY).exists():
        return frozenset()
    name = str(PurePosixPath(name))
    spellings = {name, document_name(os.fsencode(name)), document_name(document_path(name))}
    key = names_key(directory)
    return frozenset(name_hashes(key, spelling)[0] for spelling in spellings)
