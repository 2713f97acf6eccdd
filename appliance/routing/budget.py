"""What was spent and what may still be: caps of a run and of a day, with reservations for requests under way.

The record of what left is the account of the day: it survives every kill, and all processes share it. A request whose
end is not recorded counts with what it reserved.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from appliance.ground.errors import ResourceError
from appliance.routing.egress_log import Record
from appliance.routing.policy import Caps


@dataclass(frozen=True)
class Spend:
    """Tokens and money of one request, reserved or real."""

    tokens: int
    money: float
    currency: str = ""


@dataclass
class Account:
    """Sums over requests."""

    documents: set[str] = field(default_factory=set)
    requests: int = 0
    _open: dict[int, Spend] = field(default_factory=dict)
    _tokens: int = 0
    _money: dict[str, float] = field(default_factory=dict)
    """By currency."""

    @property
    def tokens(self) -> int:
        """All tokens, with what open requests reserve."""
        return self._tokens + sum(spend.tokens for spend in self._open.values())

    @property
    def currencies(self) -> dict[str, float]:
        """All money by currency, with what open requests reserve; only where there is any."""
        sums = dict(self._money)
        for spend in self._open.values():
            sums[spend.currency] = sums.get(spend.currency, 0.0) + spend.money
        return {currency: round(money, 9) for currency, money in sums.items() if money}

    @property
    def money(self) -> float | None:
        """All money, with what open requests reserve; None where it is of several currencies, which have no sum."""
        currencies = self.currencies
        return None if len(currencies) > 1 else sum(currencies.values())

    def reserve(self, record: int, document: str, spend: Spend) -> None:
        """A request goes out."""
        self.documents.add(document)
        self.requests += 1
        self._open[record] = spend

    def currency_of(self, record: int) -> str:
        """The currency of an open request; empty where it is not open here."""
        spend = self._open.get(record)
        return "" if spend is None else spend.currency

    def settle(self, record: int, spend: Spend | None) -> None:
        """A request has ended; None leaves its reservation as what it cost."""
        reserved = self._open.pop(record, None)
        real = spend or reserved
        if real is not None:
            self._tokens += real.tokens
            self._money[real.currency] = self._money.get(real.currency, 0.0) + real.money

    def over(self, caps: Caps, document: str, spend: Spend) -> str | None:
        """Which cap a further request would break: `documents`, `tokens`, `money`, or `currency`.

        The last one means that money is capped and some was spent in another currency, so that there is no sum.
        """
        documents = len(self.documents) + (document not in self.documents)
        if caps.documents is not None and documents > caps.documents:
            return "documents"
        if caps.tokens is not None and self.tokens + spend.tokens > caps.tokens:
            return "tokens"
        if caps.money is not None:
            currencies = self.currencies
            if spend.money and currencies.keys() - {spend.currency}:
                return "currency"
            if currencies.get(spend.currency, 0.0) + spend.money > caps.money + 1e-9:
                return "money"
        return None


class DayAccount:
    """The account of the current day (UTC), kept up to date by reading what was added to the record."""

    def __init__(self) -> None:
        self.account = Account()
        self._day: tuple[str, Path] | None = None
        self._read_to: dict[Path, int] = {}

    def catch_up(self, path: Path) -> Account:
        """Reads what was appended since the last call; another day or another file begins anew.

        Args:
            path: The latest file. One of a day to come was begun while the clock was ahead: what it holds of other
                days does not count, or no cap would ever have room again.

        Raises:
            ResourceError: A record cannot be read, so the day's sums are unknown.
        """
        today = time.strftime("%Y-%m-%d", time.gmtime(time.time()))
        if (today, path) != self._day:
            self.account, self._day, self._read_to = Account(), (today, path), {}
        if path.stem > today:
            self._read(path.with_name(f"{today}.jsonl"), "")
            self._read(path, today)
        else:
            self._read(path, "")
        return self.account

    def _read(self, path: Path, day: str) -> None:
        """Reads what was appended to one file; only records of this day, where one is given."""
        try:
            with open(path, "rb") as file:
                file.seek(self._read_to.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read_to[path] = self._read_to.get(path, 0) + len(line)
                    self._count(path, line, day)
        except FileNotFoundError:
            return

    def _count(self, path: Path, line: bytes, day: str) -> None:
        try:
            record = json.loads(line)
            if str(record["time"]).startswith(day):
                count_record(self.account, record)
        except (ValueError, KeyError, TypeError) as error:
            raise ResourceError(
                f"a record in {path} cannot be read, so what was spent today is not known; nothing more leaves",
                "`stillroom egress verify` names the first broken record",
            ) from error


def count_record(account: Account, record: Record) -> None:
    """Adds one record to the sums."""
    number: Callable[[str], int] = lambda key: int(str(record[key]))  # noqa: E731
    if record["kind"] == "sent":
        document = f"{record['run']}/{record['document']}"
        spend = Spend(number("reserved_tokens"), float(str(record["reserved_money"])), str(record["currency"]))
        account.reserve(number("sequence"), document, spend)
    elif record["kind"] == "ended":
        known = record["tokens"] is not None
        currency = str(record.get("currency", account.currency_of(number("of"))))
        settled = Spend(number("tokens"), float(str(record["money"])), currency) if known else None
        account.settle(number("of"), settled)
