"""What a rule gives for one answer; that the rule can be asked was found before."""

import ast
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from functools import reduce
from importlib import import_module
from itertools import pairwise
from typing import Any

from appliance.tasks.linecode import Answer
from appliance.tasks.rule_language import (
    ABOUT_PRESENCE,
    ARITHMETIC,
    CHECK_DIGITS,
    COMPARISONS,
    DATE,
    NUMBER,
    kind_of,
    place_of,
)
from appliance.tasks.task import Field
from appliance.tasks.values import normalised_value, plain, read_quantity


class Open(Exception):
    """A value is missing or not certain, so that the rule says nothing."""


class Broken(Exception):
    """Why a rule is broken, where that is more than a comparison that is false."""


@dataclass(frozen=True)
class Quantity:
    """A number with its unit or currency; empty where none is written."""

    number: Decimal
    unit: str = ""


class Evaluation:
    """A rule's value for one answer; what it may meet was checked before."""

    def __init__(self, fields: Mapping[str, Field], answer: Answer, tolerance: Decimal) -> None:
        self._fields, self._answer, self._tolerance = fields, answer, tolerance

    def value(self, node: ast.expr) -> Any:
        """Of a part: a Quantity, an ISO day, a text or a truth.

        Raises:
            Open: A value is missing.
            Broken: Numbers of different units meet, or nought divides.
        """
        match node:
            case ast.Constant(value=str() as text):
                return plain(text)
            case ast.Constant(value=number):
                return Quantity(Decimal(str(number)))
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return not self.value(inner)
            case ast.UnaryOp(op=sign, operand=inner):
                quantity = self.value(inner)
                return Quantity(-quantity.number if isinstance(sign, ast.USub) else quantity.number, quantity.unit)
            case ast.BoolOp(op=ast.And(), values=parts):
                return self._joined(parts, ends_at=False)
            case ast.BoolOp(values=parts):
                return self._joined(parts, ends_at=True)
            case ast.BinOp(left=left, op=sign, right=right):
                return _calculated(type(sign), self.value(left), self.value(right))
            case ast.Compare(left=left, ops=signs, comparators=others):
                sides = [self.value(side) for side in (left, *others)]
                return all(self._compared(type(sign), *pair) for sign, pair in zip(signs, pairwise(sides), strict=True))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._called(name, arguments)
        place = place_of(self._fields, node)
        return _read(place.described, self._answer.get(place.described.name))

    def _joined(self, parts: Sequence[ast.expr], ends_at: bool) -> bool:
        """`and` ends at what is false, `or` at what is true, whatever is open beside it."""
        is_open = False
        for part in parts:
            try:
                if bool(self.value(part)) is ends_at:
                    return ends_at
            except Open:
                is_open = True
        if is_open:
            raise Open
        return not ends_at

    def _compared(self, sign: type[ast.cmpop], left: Any, right: Any) -> bool:
        _, compare = COMPARISONS[sign]
        if isinstance(left, Quantity):
            _unit([left, right])
            left, right = left.number, right.number
            if self._tolerance and sign in (ast.Eq, ast.NotEq):
                return (abs(left - right) <= self._tolerance) is (sign is ast.Eq)
        holds = compare(left, right)
        if not holds and isinstance(left, Decimal) and sign is ast.Eq:
            raise Broken(f"{left:f} and {right:f}")
        return holds

    def _called(self, name: str, arguments: Sequence[ast.expr]) -> Any:
        if name in ABOUT_PRESENCE:
            there = [self._is_present(argument) for argument in arguments]
            return {"one_of": sum(there) == 1, "all_or_none": len(set(there)) == 1}.get(name, any(there))
        if name == "check_digit":
            assert isinstance(arguments[1], ast.Constant)
            text = self._answer.get(place_of(self._fields, arguments[0]).described.name)
            if not isinstance(text, str) or not text:
                raise Open
            return bool(import_module(CHECK_DIGITS[str(arguments[1].value)]).is_valid(text))
        if name in ("abs", "round"):
            quantity: Quantity = self.value(arguments[0])
            if name == "abs":
                return Quantity(abs(quantity.number), quantity.unit)
            assert isinstance(arguments[1], ast.Constant)
            return Quantity(round(quantity.number, int(str(arguments[1].value))), quantity.unit)
        place = place_of(self._fields, arguments[0])
        value = self._answer.get(place.described.name)
        entries = value if isinstance(value, list) else []
        if name == "count":
            wanted = [e for e in entries if not place.column or (isinstance(e, dict) and e.get(place.column.name))]
            return Quantity(Decimal(len(wanted)))
        if not entries:
            raise Open
        cells = [
            _read(place.typed, entry.get(place.column.name) if place.column and isinstance(entry, dict) else entry)
            for entry in entries
        ]
        if name == "sum":
            return Quantity(reduce(operator.add, (cell.number for cell in cells)), _unit(cells))
        if isinstance(cells[0], str):
            return min(cells) if name == "min" else max(cells)
        numbers = [cell.number for cell in cells]
        return Quantity(min(numbers) if name == "min" else max(numbers), _unit(cells))

    def _is_present(self, node: ast.expr) -> bool:
        place = place_of(self._fields, node)
        value = self._answer.get(place.described.name)
        if place.column and isinstance(value, list):
            return any(isinstance(entry, dict) and entry.get(place.column.name) for entry in value)
        return bool(value)


def _read(described: Field, value: object) -> Any:
    """A value as rules compare it.

    Raises:
        Open: It is missing or says nothing for certain.
    """
    if not isinstance(value, str) or not value.strip():
        raise Open
    kind = kind_of(described)
    if kind == NUMBER:
        read = read_quantity(described, value)
        if read is None:
            raise Open
        return Quantity(*read)
    if kind == DATE:
        day = normalised_value(described, value).value
        if not isinstance(day, str):
            raise Open
        return day
    return plain(value)


def _unit(quantities: Sequence[Quantity]) -> str:
    """The unit of all of them.

    Raises:
        Broken: They have different ones.
    """
    units = sorted({quantity.unit for quantity in quantities if quantity.unit})
    if len(units) > 1:
        raise Broken(f"{units[0]} and {units[1]} are different units")
    return units[0] if units else ""


def _calculated(sign: type[ast.operator], left: Quantity, right: Quantity) -> Quantity:
    is_sum = sign in (ast.Add, ast.Sub)
    unit = _unit([left, right]) if is_sum else left.unit or right.unit
    try:
        return Quantity(ARITHMETIC[sign](left.number, right.number), unit)
    except (ZeroDivisionError, DecimalException) as error:
        raise Broken("it divides by nought") from error
