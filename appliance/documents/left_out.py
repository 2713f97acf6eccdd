"""What a folder holds beside its documents: counted and told, and neither read nor failed."""

import re
from collections.abc import Mapping
from enum import StrEnum

from appliance.ground.text import human_count


class LeftOut(StrEnum):
    """Why something in the folder is no document."""

    LINKS = "links"
    """Links to files or folders, shortcuts of Windows among them: what they lead to may lie outside."""
    LOCK_FILES = "lock_files"
    """What an office program keeps beside a document while somebody has it open."""
    TEMPORARY_FILES = "temporary_files"
    """Downloads and transfers that are not whole yet, and what editors keep of a document's former state."""
    SYSTEM_FILES = "system_files"
    """What Windows, macOS and storage boxes keep in every folder."""
    HIDDEN = "hidden"
    """Files and folders whose name begins with a dot."""
    SPECIAL = "special_files"
    """Pipes, sockets and devices."""


_WORDS = {
    LeftOut.LINKS: ("link", "links"),
    LeftOut.LOCK_FILES: ("lock file", "lock files"),
    LeftOut.TEMPORARY_FILES: ("temporary file", "temporary files"),
    LeftOut.SYSTEM_FILES: ("system file", "system files"),
    LeftOut.HIDDEN: ("hidden file or folder", "hidden files or folders"),
    LeftOut.SPECIAL: ("pipe or device", "pipes or devices"),
}
_LOCK_FILES = re.compile(
    rb"~\$.+"  # Word, Excel, PowerPoint: the owner of an open document
    rb"|\.~lock\..+#"  # LibreOffice, OnlyOffice
    rb"|~[^/]*\.tmp|.+~rf[0-9a-f]+\.tmp"  # what Word and Excel write while they save
    rb"|.+\.laccdb|.+\.ldb"  # Access
    rb"|.+\.dwl2?|~.+\.idlk",  # AutoCAD, InDesign
    re.IGNORECASE | re.DOTALL,
)
_TEMPORARY_FILES = re.compile(
    rb".+\.(?:crdownload|part|partial|opdownload|download|filepart|aria2|!ut|!qb)"  # browsers, WinSCP, other transfers
    rb"|.+~|#.+#"  # Emacs, gedit, vim, nano
    rb"|.+\.sb-[0-9a-f]{8}-[0-9a-z]{6}",  # programs of macOS while they save
    re.IGNORECASE | re.DOTALL,
)
_SHORTCUTS = re.compile(rb".+\.lnk", re.IGNORECASE | re.DOTALL)
_SYSTEM_FILES = re.compile(
    rb"(?:eh)?thumbs(?:_vista)?\.db(?::encryptable)?|desktop\.ini"  # Windows
    rb"|\$recycle\.bin|system volume information|found\.[0-9]{3}"
    rb"|\.ds_store|\._.+|\.(?:appledouble|lsoverride|spotlight-v100|trashes|fseventsd|temporaryitems)"  # macOS
    rb"|__macosx|icon\r|network trash folder|temporary items"
    rb"|@eadir|@tmp|[#@]recycle|[#~]snapshot|@recently-snapshot"  # storage boxes
    rb"|lost\+found|\.directory|\.nfs[0-9a-f]{8,}|\.fuse_hidden[0-9a-f]+|\.trash-[0-9]+",  # Linux
    re.IGNORECASE | re.DOTALL,
)


def left_out_by_name(name: bytes) -> LeftOut | None:
    """Why a file or folder of this name is no document; None where the name is one of a document."""
    if _LOCK_FILES.fullmatch(name):
        return LeftOut.LOCK_FILES
    if _TEMPORARY_FILES.fullmatch(name) and not name.startswith(b"."):
        return LeftOut.TEMPORARY_FILES
    if _SYSTEM_FILES.fullmatch(name):
        return LeftOut.SYSTEM_FILES
    if _SHORTCUTS.fullmatch(name):
        return LeftOut.LINKS
    return LeftOut.HIDDEN if name.startswith(b".") else None


def left_out_text(counts: Mapping[str, int]) -> str:
    """`3 links, 1 lock file`; empty where nothing was left out."""
    return ", ".join(human_count(counts[kind], *_WORDS[kind]) for kind in LeftOut if counts.get(kind))
