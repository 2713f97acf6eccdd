"""What fields of Word show by their instruction alone: signs of fonts, and formulas and readings of the old form (EQ).

Source: ECMA-376 part 1, 17.16.5.17 (EQ in its transitional form).
"""

import re

from appliance.documents.raised_digits import lowered, raised
from appliance.documents.word_symbols import symbol_field_text

_EQUATION = re.compile(r"\s*EQ\s+(?=.*\()", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(r"\\\*\s*(?:\"[^\"]*\"|[^\s\\]+)")
"""How the field as a whole looks, such as the size of its letters."""
_OPTION = r"\s*\\(?:[a-z]{2,3}\s*-?\d*|[a-z]{2}\\?[^\w\s(])"
_TOKEN = re.compile(rf"\\([a-z])((?:{_OPTION})*)\s*\(|\\(.)|([(),;])|([^\\(),;]+|\\)", re.IGNORECASE | re.DOTALL)
_MAX_DEPTH = 20
_SUMS = (("\\su", "\u2211"), ("\\pr", "\u220f"))


def instruction_text(instruction: str) -> str | None:
    """What a field shows that has no result; None for the instruction of another field."""
    start = _EQUATION.match(instruction)
    if start is None:
        return symbol_field_text(instruction)
    texts, _ = _arguments(_FORMAT.sub("", instruction[start.end() :]), 0, 0)
    return ", ".join(texts).strip()


def _arguments(text: str, position: int, depth: int) -> tuple[list[str], int]:
    """What stands between brackets, split at commas, and where it ends."""
    parts: list[list[str]] = [[]]
    open_brackets = 0
    while token := _TOKEN.match(text, position):
        position = token.end()
        switch, options, escaped, sign, plain = token.groups()
        if switch and depth < _MAX_DEPTH:
            texts, position = _arguments(text, position, depth + 1)
            parts[-1].append(_shown(switch.lower(), (options or "").lower(), texts))
        elif sign == ")" and depth and not open_brackets:
            break
        elif sign in (",", ";") and depth and not open_brackets:
            parts.append([])
        else:
            open_brackets += {"(": 1, ")": -1}.get(sign or "", 0)
            parts[-1].append(escaped or sign or plain or "")
    return ["".join(part) for part in parts], position


def _shown(switch: str, options: str, texts: list[str]) -> str:
    if switch == "f":
        return f"({texts[0]})/({', '.join(texts[1:])})"
    if switch == "r":
        return f"{f'({texts[0]})' if len(texts) > 1 else ''}\u221a({texts[-1]})"
    if switch == "i":
        sign = next((sign for option, sign in _SUMS if option in options), "\u222b")
        limits = [*texts, "", "", ""]
        return f"{sign}_({limits[0]})^({limits[1]}) {limits[2]}"
    if switch == "s":
        return "".join(map(lowered if "\\do" in options else raised, texts))
    if switch == "b":
        return f"({', '.join(texts)})"
    if switch == "o":
        # The reading stands above the letters that it is of.
        return texts[-1] if "\\ad" in options else "".join(texts)
    return "" if switch == "d" else ("; " if switch == "a" else ", ").join(texts)
