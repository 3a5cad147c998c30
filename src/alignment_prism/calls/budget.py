"""What calls cost: how many there were, how many tokens, how many dollars, and when no further one may be made.

A call is paid for when it is answered, and its price is known only then. So that a budget is never exceeded, a call
is not begun unless the most that it can cost still fits beside what is spent and what the calls under way may cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from alignment_prism.domain.errors import BudgetError
from alignment_prism.domain.messages import Message

Price = tuple[float, float]
"""US dollars of a million tokens that are read, and that are written."""

PriceOf = Callable[[str], "Price | None"]
"""From a model's id to its price; None where none is known."""

IN_BATCHES = "batch:"
"""How begins what calls through a provider's batch API are counted under, before the model's id: they cost less."""

BYTES = 3
"""Of UTF-8 a token: about what Latin, Cyrillic and Indic texts take at worst in the vocabularies of today."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the calls of a model came to, as its provider counts.

    Attributes:
        calls: that were answered.
        tokens_in: that were read.
        tokens_out: that were written, thoughts included.
        uncounted: calls among them of which the provider gave no numbers of tokens.
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    uncounted: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.uncounted + other.uncounted,
        )

    @classmethod
    def of_call(cls, tokens_in: int, tokens_out: int) -> Usage:
        """Of one call; a number below zero is one that nobody gave."""
        return cls(1, max(tokens_in, 0), max(tokens_out, 0), int(min(tokens_in, tokens_out) < 0))

    def dollars(self, price: Price | None) -> float | None:
        """What they cost; None where no price is known, or some calls were not counted."""
        if price is None or (self.uncounted and any(price)):
            return None
        return (self.tokens_in * price[0] + self.tokens_out * price[1]) / 1e6


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that a call may cost.

    Attributes:
        model: that is called.
        dollars: at most.
        sent: tokens that are sent, as reckoned.
    """

    model: str
    dollars: float
    sent: int


class Budget:
    """Dollars that may be spent on calls.

    Args:
        dollars: in all.
        price_of: what models cost.

    Attributes:
        spent: so far.
        reserved: the most that the calls under way may cost.
        under_way: how many they are.
    """

    def __init__(self, dollars: float, price_of: PriceOf) -> None:
        self.dollars = dollars
        self.spent = 0.0
        self.reserved = 0.0
        self.under_way = 0
        self._price_of = price_of
        self._short: dict[str, float] = {}

    def begin(self, usage: Mapping[str, Usage]) -> None:
        """Count what was spent before.

        Args:
            usage: by model; what has no price, or was not counted, is left out.
        """
        self.spent = sum(used.dollars(self._price_of(model)) or 0.0 for model, used in usage.items())

    def most(self, model: str, messages: Sequence[Message], max_tokens: int) -> Bound:
        """What a call may cost at most, by the length of what is sent and `max_tokens`.

        How many tokens a text has is the vocabulary's affair: the calls that were counted so far say by how much the
        reckoning of `BYTES` fell short at worst.
        """
        read, written = self._price_of(model) or (0.0, 0.0)
        sent = sum(len(turn.content.encode("utf-8", "replace")) // BYTES + 10 for turn in messages)
        return Bound(model, (sent * self._short.get(model, 1.0) * read + max_tokens * written) / 1e6, sent)

    def reserve(self, call: Bound) -> bool:
        """Set aside what a call may cost; False where that does not fit."""
        if self.spent + self.reserved + call.dollars > self.dollars:
            return False
        self.reserved += call.dollars
        self.under_way += 1
        return True

    def settle(self, call: Bound, usage: Usage | None) -> None:
        """Put what a call cost in place of what was set aside; all of it where nobody counted.

        Args:
            call: for which it was set aside.
            usage: of the call; None for one that failed, which is taken to cost nothing.
        """
        self.under_way -= 1
        self.reserved = self.reserved - call.dollars if self.under_way else 0.0  # sums of floats leave crumbs
        if usage is not None:
            cost = usage.dollars(self._price_of(call.model))
            self.spent += call.dollars if cost is None else cost
            self._short[call.model] = max(self._short.get(call.model, 1.0), usage.tokens_in / call.sent)

    def error(self, where: str, call: Bound) -> BudgetError:
        """That nothing more fits."""
        return BudgetError(
            f"the budget of ${self.dollars:,.2f} is spent: ${self.spent:,.4f}, and the next call may cost "
            f"${call.dollars:,.4f}; what was answered is kept",
            where=where,
            fix="run the same command again with a larger budget to go on",
            settings={"budget": "DOLLARS"},
        )
