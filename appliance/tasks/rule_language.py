"""What rules over fields may be written with: names of fields, kinds of values, functions."""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from appliance.ground.spelling import did_you_mean
from appliance.tasks.task import Field

LONGEST_RULE = 500
"""Characters of a check."""
LONGEST_SHOWN = 80

NUMBER, DATE, TEXT, TRUTH = "number", "date", "text", "yes or no"
LIST = "several values"
COMPARISONS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Eq: ("==", operator.eq), ast.NotEq: ("!=", operator.ne), ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le), ast.Gt: (">", operator.gt), ast.GtE: (">=", operator.ge),
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
CHECK_DIGITS = {
    "iban": "stdnum.iban", "bic": "stdnum.bic", "lei": "stdnum.lei", "luhn": "stdnum.luhn", "ean": "stdnum.ean",
    "isbn": "stdnum.isbn", "issn": "stdnum.issn", "eu_vat": "stdnum.eu.vat", "creditor_id": "stdnum.eu.at_02",
}  # fmt: skip
"""Kind of number -> the module that knows its check digits."""
FUNCTIONS = {
    "sum": "of a column of records, or of a list of numbers", "min": "of a column", "max": "of a column",
    "count": "how many records or entries there are", "abs": "of a number", "round": "a number, to so many decimals",
    "present": "whether a field has a value", "one_of": "whether exactly one of the fields has a value",
    "any_of": "whether a field has a value", "all_or_none": "whether all of the fields have a value, or none",
    "check_digit": "whether the check digits of a number are right",
}  # fmt: skip
ABOUT_PRESENCE = frozenset({"present", "one_of", "any_of", "all_or_none"})


class RuleError(Exception):
    """A rule that cannot be read, or one that no answer could be checked by."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


def dotted(node: ast.expr) -> str:
    """The name that a node writes, with its dots; empty where it is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


@dataclass(frozen=True)
class Place:
    """What a name stands for."""

    described: Field
    column: Field | None = None

    @property
    def typed(self) -> Field:
        """The field or column whose type its values have."""
        return self.column or self.described


def place_of(fields: Mapping[str, Field], node: ast.expr) -> Place:
    """The field, or the column of records, that a node names.

    Raises:
        RuleError: There is none.
    """
    name = dotted(node)
    if name in fields:
        return Place(fields[name])
    head, _, last = name.rpartition(".")
    columns = fields[head].columns if head in fields else ()
    column = next((each for each in columns if each.name == last), None)
    if column is not None:
        return Place(fields[head], column)
    known = [*fields, *(f"{each.name}.{column.name}" for each in fields.values() for column in each.columns)]
    raise RuleError(f"{name} is no field of the task{did_you_mean(name, known)}", f"known: {', '.join(known)[:400]}")


def kind_of(described: Field) -> str:
    """Number, date or text, by what the field's values are compared as."""
    return {"amount": NUMBER, "number": NUMBER, "integer": NUMBER, "date": DATE}.get(described.comparator, TEXT)
