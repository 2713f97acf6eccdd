"""Names of documents in the record of what left: keyed hashes, so that whoever has the key can search by name.

The record outlives the jobs, and a job's numbers mean nothing without it. A hash under a key of this installation
can be searched for and not be read: without the key nobody finds a name by trying.
"""

import hashlib
import hmac
import unicodedata
from pathlib import Path, PurePosixPath

from appliance.ground.errors import ResourceError
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


def searched_hash(directory: Path, name: str) -> str:
    """What a record of this document holds, whether the name is a path or a file name; empty where none can.

    Raises:
        ResourceError: The key cannot be read.
    """
    if not name or not (directory / NAMES_KEY).exists():
        return ""
    hashes = name_hashes(names_key(directory), name)
    if not hashes:
        raise ResourceError(f"{name} is not the name of a document")
    return hashes[0]
