"""Marks: what a person should know about how a value was read."""

from enum import StrEnum


class Mark(StrEnum):
    """Why the normalised value of a field is missing, or rests on a rule rather than on what is written."""

    DATE_ORDER = "date_order"
    """Day and month may be exchanged (`03/04/2024`); no normalised value."""
    CENTURY = "century"
    """The year has two digits: 69 to 99 are read as 19.., the others as 20..."""
    CALENDAR = "calendar"
    """The year is one of another calendar or era; no normalised value."""
    DECIMAL_MARK = "decimal_mark"
    """The only separator stands before three digits (`1.234`): read as thousands in an amount of money and after a
    comma, as a decimal mark after a dot in another number."""
    CREDIT = "credit"
    """The side of an account is written (`5.00 CR`) and read as a negative amount."""
    DEBIT = "debit"
    """The side of an account is written (`5.00 DR`, `5,00 S`); its sign depends on whose account it is; no normalised
    value."""
    UNREAD = "unread"
    """The value holds no date or number, more than one, or signs beside it that change what it says; no normalised
    value."""
