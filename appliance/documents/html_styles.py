"""What the styles of a web page hide: inline ones and those of its own sheets, as far as they decide what is shown.

A sheet is read for the few properties that take a text out of sight. Selectors may name elements, classes, ids and
attributes, inside each other or directly so, in nested rules, too; a rule with any other selector is passed over.
Conditions on the screen are judged for one of 1,024 pixels.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_MAX_SHEET_CHARACTERS = 4 << 20
_MAX_RULES = 5000
_MAX_BLOCKS = 50_000
_MAX_NESTED = 8
_MAX_SELECTOR = 2000
_MAX_ANCESTORS = 200
_SCREEN_PIXELS = 1024
_RELEVANT = frozenset(
    "display visibility opacity font font-size height max-height width max-width overflow overflow-y text-indent"
    " vertical-align position left top clip clip-path content-visibility transform margin-left padding padding-left"
    " animation animation-name".split()
)
_SURE = ("display", "visibility")
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
_NOT_OF_SHEET = re.compile(r"<!--|-->|<!\[CDATA\[|\]\]>")
"""What keeps a sheet from programs that know none."""
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))")
_WIDTH_CONDITION = re.compile(r"\(\s*(?:(min|max)-(?:device-)?width\s*:|width\s*([<>])=?)\s*([\d.]+)(px|em|rem)?\s*\)")
_NAME = r"(?:[\w-]|\\[^\da-fA-F])+"
_ATTRIBUTE = r"\[\s*([\w-]+)\s*(?:([~|^$*]?)=\s*(?:\"([^\"\]]*)\"|'([^'\]]*)'|([\w-]+))\s*(i?)\s*)?\]"
_COMPOUND = re.compile(rf"(?P<tag>\*|[a-z][\w-]*)?(?P<rest>(?:[.#]{_NAME}|{_ATTRIBUTE})*)")
_PART = re.compile(rf"([.#])({_NAME})|{_ATTRIBUTE}")
_NO_SIZE = re.compile(r"(?:^|\s)0(?:px|pt|em|rem|%)?(?:\s*/|\s)")
"""In the shorthand of a font."""
_SHRUNK = re.compile(r"scale[xy3d]*\(\s*0(?:\.0*)?\s*[,)]|translate[xy3d]*\(\s*-\d{4,}")
_CUT_AWAY = re.compile(r"inset\(\s*(?:[5-9]\d|100)(?:\.\d*)?%\s*\)|circle\(\s*0")
_FAR_AWAY = -999.0
Declarations = dict[str, str]
Element = tuple[str, Mapping[str, str | None]]
"""A tag and its attributes."""


@dataclass(frozen=True)
class _Compound:
    """What one element must be."""

    tag: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    attributes: tuple[tuple[str, str | None, str, bool], ...]
    """Name, value, how they are compared, and whether small and large letters are the same."""

    def matches(self, element: Element) -> bool:
        """Whether the element is so."""
        tag, attributes = element
        if self.tag not in ("", "*", tag):
            return False
        if self.ids and any(attributes.get("id") != one for one in self.ids):
            return False
        if self.classes:
            classes = (attributes.get("class") or "").split()
            if any(one not in classes for one in self.classes):
                return False
        return all(
            name in attributes and (value is None or _compares(attributes[name] or "", value, how, ignores_case))
            for name, value, how, ignores_case in self.attributes
        )


def _compares(text: str, value: str, how: str, ignores_case: bool) -> bool:
    """Whether the text of an attribute is what a selector says of it."""
    if ignores_case:
        text, value = text.lower(), value.lower()
    if not value:
        return not how and not text
    if how == "~":
        return value in text.split()
    if how == "|":
        return text == value or text.startswith(value + "-")
    if how in ("^", "$"):
        return text.startswith(value) if how == "^" else text.endswith(value)
    return value in text if how else text == value


@dataclass(frozen=True)
class _Rule:
    """A selector with what it decides."""

    compounds: tuple[tuple[bool, _Compound], ...]
    """From the element upwards; whether one must be the very parent of the one before."""
    declarations: Declarations
    weight: tuple[int, int, int, int]
    """Of the selector, and the place in the sheets."""

    def matches(self, element: Element, ancestors: Sequence[Element]) -> bool:
        """Whether the rule is about the element."""
        if not self.compounds[0][1].matches(element):
            return False
        above = iter(ancestors[: -_MAX_ANCESTORS - 1 : -1])
        for is_parent, compound in self.compounds[1:]:
            for ancestor in above:
                if compound.matches(ancestor):
                    break
                if is_parent:
                    return False
            else:
                return False
        return True


@dataclass
class StyleSheets:
    """The rules of a page that may hide something."""

    scripts_run: bool = False
    """Whether the page has scripts, which fade in what a sheet makes clear, small or far away at first."""
    rules: dict[str, list[_Rule]] = field(default_factory=dict)
    """By the id, class or tag that an element must have."""
    needs_ancestors: bool = False
    _count: int = 0

    def add(self, sheet: str) -> None:
        """Adds the rules of a sheet."""
        plain = _NOT_OF_SHEET.sub(" ", _COMMENT.sub(" ", sheet[:_MAX_SHEET_CHARACTERS]))
        for selectors, block in itertools.islice(_rules(plain), _MAX_BLOCKS):
            declarations = declarations_of(block)
            if self.scripts_run:
                declarations = {name: value for name, value in declarations.items() if name in _SURE}
            if not declarations:
                continue
            for selector in selectors.split(","):
                if self._count < _MAX_RULES:
                    self._add_rule(selector.strip(), declarations)

    def _add_rule(self, selector: str, declarations: Declarations) -> None:
        compounds = _compounds(selector)
        # Pages hide themselves as a whole until a script has run.
        if not compounds or compounds[0][1].tag in ("html", "body") or selector in ("*", ":root"):
            return
        self._count += 1
        self.needs_ancestors = self.needs_ancestors or len(compounds) > 1
        ids = sum(len(compound.ids) for _, compound in compounds)
        classes = sum(len(compound.classes) + len(compound.attributes) for _, compound in compounds)
        tags = sum(compound.tag not in ("", "*") for _, compound in compounds)
        target = compounds[0][1]
        key = "*"
        if target.ids:
            key = "#" + target.ids[0]
        elif target.classes:
            key = "." + target.classes[0]
        elif target.tag:
            key = target.tag
        self.rules.setdefault(key, []).append(_Rule(compounds, declarations, (ids, classes, tags, self._count)))

    def declarations(self, element: Element, ancestors: Sequence[Element]) -> Declarations:
        """What the sheets and its own style decide about an element."""
        tag, attributes = element
        style = attributes.get("style")
        inline = declarations_of(style) if style else {}
        if not self.rules:
            return {name: value.removesuffix(_IMPORTANT) for name, value in inline.items()}
        keys = [tag, "*"]
        if "id" in attributes:
            keys.append("#" + (attributes["id"] or ""))
        if "class" in attributes:
            keys += ["." + name for name in (attributes["class"] or "").split()]
        keys = [key for key in keys if key in self.rules]
        if not keys:
            return {name: value.removesuffix(_IMPORTANT) for name, value in inline.items()} if inline else {}
        matching = [rule for key in keys for rule in self.rules[key] if rule.matches(element, ancestors)]
        matching.sort(key=lambda rule: rule.weight)
        usual: Declarations = {}
        important: Declarations = {}
        for declarations in (*(rule.declarations for rule in matching), inline):
            for name, value in declarations.items():
                if value.endswith(_IMPORTANT):
                    important[name] = value.removesuffix(_IMPORTANT)
                else:
                    usual[name] = value
        return {**usual, **important}


_IMPORTANT = "!important"


def declarations_of(block: str) -> Declarations:
    """The properties that may take a text out of sight or off its line, in small letters."""
    declarations: Declarations = {}
    if "/*" in block:
        block = _COMMENT.sub("", block)
    if "\\" in block:
        block = _unescaped(block)
    for one in block.split(";") if ":" in block else ():
        name, _, value = one.partition(":")
        name = name.strip().lower()
        if name in _RELEVANT:
            text = " ".join(value.lower().split())
            important = text.replace(" ", "").endswith(_IMPORTANT)
            text = text.rpartition("!")[0].strip() + _IMPORTANT if important else text
            # The first declaration of two of the same importance gives way to the second.
            if important or not declarations.get(name, "").endswith(_IMPORTANT):
                declarations[name] = text
    return declarations


def _unescaped(text: str) -> str:
    """The text with its letters instead of their numbers."""
    return _ESCAPE.sub(
        lambda match: match.group(2) or (chr(code) if (code := int(match.group(1), 16)) < 0x110000 else " "), text
    )


def removes(style: Declarations) -> bool:
    """Whether an element is not there for the eye, nor anything in it."""
    if style.get("display") == "none":
        return True
    if style.get("animation", style.get("animation-name", "none")) != "none":
        return False  # what fades or flies in begins out of sight
    if _number(style.get("opacity")) == 0 or _SHRUNK.search(style.get("transform", "")):
        return True
    if style.get("content-visibility") == "hidden":
        return True
    clipped = "hidden" in (style.get("overflow"), style.get("overflow-y")) or style.get("overflow") == "clip"
    sides = ("height", "max-height", "width", "max-width")
    if clipped and any(_is_at_most(style.get(side), 1.0) for side in sides):
        return True
    if style.get("position") in ("absolute", "fixed", "relative"):
        if any((_number(style.get(side)) or 0.0) <= _FAR_AWAY for side in ("left", "top")):
            return True
        clip = style.get("clip", "").replace(" ", "")
        edges = set(_NUMBER.findall(clip))
        if style.get("position") != "relative" and clip.startswith("rect(") and edges and edges <= {"0", "1"}:
            return True
    if _CUT_AWAY.match(style.get("clip-path", "")):
        return True
    is_pulled_back = "padding" in style or "padding-left" in style
    if not is_pulled_back and (_number(style.get("margin-left")) or 0.0) <= _FAR_AWAY:
        return True
    return (_number(style.get("text-indent")) or 0.0) <= _FAR_AWAY


def _number(value: str | None) -> float | None:
    match = _NUMBER.match(value) if value else None
    return float(match.group()) if match and len(match.group()) < 30 else None


def _is_at_most(value: str | None, most: float) -> bool:
    number = _number(value)
    return number is not None and number <= most and not (value or "").endswith(("em", "%", "vh", "vw"))


def is_visible(style: Declarations, before: bool) -> bool:
    """Whether the text of an element can be seen, which it inherits and may decide anew."""
    value = style.get("visibility")
    return before if value in (None, "inherit") else value not in ("hidden", "collapse")


def has_size(style: Declarations, before: bool) -> bool:
    """Whether the letters of an element have a size, which it inherits and may decide anew."""
    value = style.get("font-size")
    if value is None and "font" in style:
        return not _NO_SIZE.search(style["font"])
    number = _number(value)
    if value is None or value == "inherit" or (value.endswith(("em", "%")) and not value.endswith("rem") and number):
        return before
    return number is None or number > 0


def _rules(sheet: str, nested: int = 0) -> Iterator[tuple[str, str]]:
    """Selectors and blocks of the rules that count on a screen."""
    position = 0
    while (opening := sheet.find("{", position)) >= 0:
        head = sheet[position:opening].rpartition(";")[2].rpartition("}")[2].strip()
        end = _block_end(sheet, opening)
        block = sheet[opening + 1 : end]
        position = end + 1
        if not head.startswith("@"):
            yield from _flat(head, block, nested)
        elif nested < _MAX_NESTED and _counts(head.lower()):
            yield from _rules(block, nested + 1)


def _flat(head: str, block: str, nested: int) -> Iterator[tuple[str, str]]:
    """A rule, and after it those that stand inside it, each with its whole selector."""
    if "{" not in block:
        yield head, block
        return
    own: list[str] = []
    inside: list[tuple[str, str]] = []
    position = 0
    while (opening := block.find("{", position)) >= 0:
        before, _, inner = block[position:opening].rpartition(";")
        end = _block_end(block, opening)
        own.append(before)
        inside.append((inner.strip(), block[opening + 1 : end]))
        position = end + 1
    yield head, ";".join([*own, block[position:]])
    for inner, inner_block in inside if nested < _MAX_NESTED and len(head) < _MAX_SELECTOR else ():
        if inner.startswith("@"):
            if _counts(inner.lower()):
                yield from _flat(head, inner_block, nested + 1)
            continue
        for one in inner.split(","):
            for outer in head.split(","):
                whole = one.replace("&", outer.strip()) if "&" in one else f"{outer.strip()} {one.strip()}"
                yield from _flat(whole, inner_block, nested + 1)


_BRACE = re.compile(r"[{}]")


def _block_end(sheet: str, opening: int) -> int:
    deep = 0
    for brace in _BRACE.finditer(sheet, opening):
        deep += 1 if brace.group() == "{" else -1
        if not deep:
            return brace.start()
    return len(sheet)


def _counts(head: str) -> bool:
    """Whether the rules within a condition count."""
    if head.startswith("@media"):
        return media_matches(head.removeprefix("@media"))
    return head.startswith(("@supports", "@layer", "@scope"))


def media_matches(media: str) -> bool:
    """Whether a list of conditions holds for a screen of usual width."""
    text = media.strip().lower()
    return not text or any(_matches_one(one.strip()) for one in text.split(","))


def _matches_one(query: str) -> bool:
    if query.startswith("not "):
        return _holds(query.removeprefix("not ").strip()) is False
    return _holds(query) is True


def _holds(query: str) -> bool | None:
    """Whether a condition holds; None where that is not known, as of dark colours."""
    kind = query.removeprefix("only ").split(" ")[0]
    if kind not in ("all", "screen") and not kind.startswith("("):
        return False
    rest = query
    for limit, sign, number, unit in _WIDTH_CONDITION.findall(query):
        pixels = (_number(number) or 0.0) * (16 if unit in ("em", "rem") else 1)
        if pixels < _SCREEN_PIXELS if limit == "max" or sign == "<" else pixels > _SCREEN_PIXELS:
            return False
        rest = _WIDTH_CONDITION.sub("", rest, count=1)
    return None if "(" in rest else True


def _compounds(selector: str) -> tuple[tuple[bool, _Compound], ...]:
    """From the element upwards; nothing where the selector says something else."""
    words = selector.replace(">", " > ").split()
    compounds: list[tuple[bool, _Compound]] = []
    is_parent = False
    for word in reversed(words):
        if word == ">":
            if is_parent or not compounds:
                return ()
            is_parent = True
            continue
        match = _COMPOUND.fullmatch(word) or _COMPOUND.fullmatch(word.lower())
        if match is None or not word:
            return ()
        classes: list[str] = []
        ids: list[str] = []
        attributes: list[tuple[str, str | None, str, bool]] = []
        for part in _PART.finditer(match["rest"]):
            mark, name, attribute, how, *values, case = part.groups()
            if mark:
                (classes if mark == "." else ids).append(_unescaped(name))
            else:
                # Without a value there is no way to compare it either.
                value = None if how is None else next(filter(None, values), "")
                attributes.append((attribute.lower(), value, how or "", case == "i"))
        compounds.append(
            (is_parent, _Compound((match["tag"] or "").lower(), tuple(classes), tuple(ids), tuple(attributes)))
        )
        is_parent = False
    return () if is_parent else tuple(compounds)
