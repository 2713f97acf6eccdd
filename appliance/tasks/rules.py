"""Rules over the fields of an answer, such as `sum(items.amount) == net`: read once, checked for every answer.

A rule is an expression of names, numbers and texts in quotes. A field that has no value, or one that cannot be read for
certain, leaves a rule that needs it open: the rule is neither kept nor broken. The functions `present`, `count`,
`one_of`, `any_of` and `all_or_none` ask for values themselves.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from appliance.ground.spelling import did_you_mean
from appliance.tasks.linecode import Answer
from appliance.tasks.rule_evaluation import Broken, Evaluation, Open
from appliance.tasks.rule_language import (
    ABOUT_PRESENCE,
    ARITHMETIC,
    CHECK_DIGITS,
    COMPARISONS,
    DATE,
    FUNCTIONS,
    LIST,
    LONGEST_RULE,
    LONGEST_SHOWN,
    NUMBER,
    TEXT,
    TRUTH,
    RuleError,
    dotted,
    kind_of,
    place_of,
)
from appliance.tasks.task import Field, Rule

_EXAMPLE = 'write a comparison such as check = "sum(items.amount) == net"'


@dataclass(frozen=True)
class CompiledRule:
    """A rule that was found to fit the fields of its task."""

    rule: Rule
    _body: ast.expr = field(repr=False)
    _fields: Mapping[str, Field] = field(repr=False)

    @cached_property
    def field_names(self) -> tuple[str, ...]:
        """The fields that it names, in the order of the task."""
        named = {dotted(node) for node in ast.walk(self._body) if isinstance(node, ast.Name | ast.Attribute)}
        return tuple(
            name
            for name, each in self._fields.items()
            if name in named or any(f"{name}.{column.name}" in named for column in each.columns)
        )

    def broken(self, answer: Answer) -> str | None:
        """Why the answer breaks the rule; None where it keeps it, or where the rule says nothing about it."""
        try:
            if Evaluation(self._fields, answer, Decimal(str(self.rule.tolerance))).value(self._body):
                return None
        except Open:
            return None
        except Broken as broken:
            return f"{self._message}: {broken}"
        return self._message

    @property
    def _message(self) -> str:
        return self.rule.description or f"{self.rule.check} is not so"


def compile_rule(rule: Rule, fields: Sequence[Field]) -> CompiledRule:
    """The rule, ready to be checked.

    Raises:
        RuleError: It is no rule, names what the task lacks, or compares what cannot be compared.
    """
    if len(rule.check) > LONGEST_RULE:
        raise RuleError(f"{len(rule.check)} characters, at most {LONGEST_RULE} are read", "make it several rules")
    try:
        body = ast.parse(rule.check.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = error.offset if isinstance(error, SyntaxError) else None
        at = f" at {rule.check.strip()[place - 1 :][:20]!r}" if place else ""
        hint = "write == where two values are equal" if "=" in rule.check.replace("==", "") else _EXAMPLE
        raise RuleError(f"cannot be read{at}", hint) from error
    by_name = {each.name: each for each in fields}
    kind = _Kinds(by_name).of(body)
    if kind != TRUTH:
        raise RuleError(f"gives a {kind}, not yes or no", _EXAMPLE)
    return CompiledRule(rule, body, by_name)


class _Kinds:
    """What each part of a rule gives, found before any answer is there."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._fields = fields

    def of(self, node: ast.expr) -> str:
        """The kind of a part.

        Raises:
            RuleError: The part is none that a rule may have.
        """
        match node:
            case ast.Constant(value=bool()) | ast.Constant(value=None):
                pass
            case ast.Constant(value=int() | float()):
                return NUMBER
            case ast.Constant(value=str()):
                return TEXT
            case ast.Name() | ast.Attribute() if dotted(node):
                return self._of_name(node)
            case ast.UnaryOp(op=ast.Not()):
                return self._all(TRUTH, "not", [node.operand])
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                return self._all(NUMBER, "-", [node.operand])
            case ast.BoolOp():
                return self._all(TRUTH, "and" if isinstance(node.op, ast.And) else "or", node.values)
            case ast.BinOp() if type(node.op) in ARITHMETIC:
                if isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant) and not node.right.value:
                    raise RuleError("divides by nought", "divide by another number")
                return self._all(NUMBER, "+, -, * and /", [node.left, node.right])
            case ast.Compare():
                return self._of_comparison(node)
            case ast.Call(func=ast.Name(), keywords=[]):
                return self._of_call(node)
        raise RuleError(f"{ast.unparse(node)[:LONGEST_SHOWN]!r} cannot stand in a rule", _EXAMPLE)

    def _all(self, wanted: str, sign: str, nodes: Sequence[ast.expr]) -> str:
        for node in nodes:
            if (kind := self.of(node)) != wanted:
                raise RuleError(
                    f"{sign} takes a {wanted}, and {ast.unparse(node)[:LONGEST_SHOWN]} is a {kind}"
                    if kind != LIST
                    else f"{ast.unparse(node)[:LONGEST_SHOWN]} has several values",
                    "write sum(...), min(...), max(...) or count(...)" if kind == LIST else _EXAMPLE,
                )
        return wanted

    def _of_name(self, node: ast.expr) -> str:
        place = place_of(self._fields, node)
        return LIST if place.column or place.described.is_several else kind_of(place.described)

    def _of_comparison(self, node: ast.Compare) -> str:
        if unknown := [op for op in node.ops if type(op) not in COMPARISONS]:
            raise RuleError(f"{type(unknown[0]).__name__.lower()} cannot stand in a rule", _EXAMPLE)
        sides = [node.left, *node.comparators]
        kinds = [self.of(side) for side in sides]
        if LIST in kinds:
            self._all(NUMBER, "==", [sides[kinds.index(LIST)]])
        if kinds == [DATE, TEXT] or kinds == [TEXT, DATE]:
            literal = sides[kinds.index(TEXT)]
            if not (isinstance(literal, ast.Constant) and _is_iso_day(str(literal.value))):
                raise RuleError("compares a date with a text", 'write a day as "2026-01-31"')
        elif len(set(kinds)) > 1:
            raise RuleError(f"compares a {kinds[0]} with a {next(k for k in kinds if k != kinds[0])}", _EXAMPLE)
        is_ordered = any(type(op) not in (ast.Eq, ast.NotEq) for op in node.ops)
        if is_ordered and kinds[0] not in (NUMBER, DATE) and DATE not in kinds:
            raise RuleError(f"puts a {kinds[0]} in an order", "use <, <=, > and >= between numbers or dates")
        return TRUTH

    def _of_call(self, node: ast.Call) -> str:
        assert isinstance(node.func, ast.Name)
        name, arguments = node.func.id, node.args
        if name not in FUNCTIONS:
            hint = f"known: {', '.join(FUNCTIONS)}"
            raise RuleError(f"{name} is no function of rules{did_you_mean(name, FUNCTIONS)}", hint)
        if name in ABOUT_PRESENCE:
            if not arguments or (len(arguments) == 1) != (name == "present"):
                raise RuleError(f"{name} takes {'one field' if name == 'present' else 'two fields or more'}", _EXAMPLE)
            for argument in arguments:
                place_of(self._fields, argument)
            return TRUTH
        if name == "check_digit":
            return self._of_check_digit(arguments)
        if name == "round":
            if len(arguments) != 2 or not isinstance(arguments[1], ast.Constant) or arguments[1].value not in range(10):
                raise RuleError("round takes a number and how many decimals it keeps, 0 to 9", "write round(net, 2)")
            return self._all(NUMBER, "round", arguments[:1])
        if len(arguments) != 1:
            raise RuleError(f"{name} takes one value, and {len(arguments)} are given", _EXAMPLE)
        if name == "abs":
            return self._all(NUMBER, "abs", arguments)
        place = place_of(self._fields, arguments[0])
        if not (place.column or place.described.is_several):
            raise RuleError(f"{name} takes several values, and {dotted(arguments[0])} has one", _EXAMPLE)
        if name == "count":
            return NUMBER
        kind = kind_of(place.typed)
        if kind not in ((NUMBER,) if name == "sum" else (NUMBER, DATE)):
            raise RuleError(f"{name} takes numbers, and {dotted(arguments[0])} has {kind}s", _EXAMPLE)
        return kind

    def _of_check_digit(self, arguments: Sequence[ast.expr]) -> str:
        known = ", ".join(CHECK_DIGITS)
        kind = arguments[1] if len(arguments) == 2 else None
        if not (isinstance(kind, ast.Constant) and kind.value in CHECK_DIGITS):
            raise RuleError("check_digit takes a field and the kind of number", f"kinds: {known}")
        place = place_of(self._fields, arguments[0])
        if place.column or place.described.is_several:
            raise RuleError(f"{dotted(arguments[0])} has several values", "check_digit takes a field with one value")
        return TRUTH


def _is_iso_day(text: str) -> bool:
    from datetime import date

    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-01-31")
