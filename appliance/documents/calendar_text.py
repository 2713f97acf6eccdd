"""Invitations (ICS) and address cards (VCF) as lines: folds undone, signs unescaped, dates in one form.

Source: RFC 5545 section 3.1 and 3.3; RFC 6350.
"""

import re

_START = re.compile(r"\s*BEGIN:V(?:CALENDAR|CARD)\b", re.IGNORECASE)
_FOLD = re.compile(r"\n[ \t]")
_LINE = re.compile(r"([A-Za-z0-9.-]+)((?:;(?:[^\":;\n]|\"[^\"\n]*\")*)*):(.*)")
_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)?(Z?))?")
_ZONE = re.compile(r";TZID=\"?([^\";:]{1,80})", re.IGNORECASE)
_ESCAPES = {"\\n": "\n", "\\N": "\n", "\\,": ",", "\\;": ";", "\\\\": "\\", "\\:": ":", '\\"': '"'}
_ESCAPE = re.compile(r"\\[nN,;:\\\"]")
_TECHNICAL = frozenset("prodid uid dtstamp sequence transp calscale version photo key logo x-alt-desc".split())


def is_calendar(text: str) -> bool:
    """Whether a text is an invitation or an address card."""
    return _START.match(text) is not None


def calendar_lines(text: str) -> str:
    """The properties, one a line, as a person reads them; rules of time zones and marks of programs are left out."""
    lines: list[str] = []
    inside: list[str] = []
    for line in _FOLD.sub("", text).split("\n"):
        entry = _LINE.match(line)
        if entry is None:
            lines += [line] if line.strip() else []
            continue
        name, options, value = entry.group(1), entry.group(2), entry.group(3).strip()
        if name.upper() == "BEGIN":
            inside.append(value.upper())
        elif name.upper() == "END":
            del inside[-1:]
        elif "VTIMEZONE" not in inside and name.lower() not in _TECHNICAL and not name.upper().startswith("X-"):
            lines.append(f"{name}: {_value(options, value)}")
    return "\n".join(lines) + "\n" if lines else ""


def _value(options: str, value: str) -> str:
    moment = _MOMENT.fullmatch(value)
    if moment is None:
        return _ESCAPE.sub(lambda escape: _ESCAPES[escape.group()], value)
    year, month, day, hour, minute, second, universal = moment.groups()
    if hour is None:
        return f"{year}-{month}-{day}"
    zone = _ZONE.search(options)
    place = " UTC" if universal else f" {zone.group(1)}" if zone else ""
    return f"{year}-{month}-{day} {hour}:{minute}:{second or '00'}{place}"
