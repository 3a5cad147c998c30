"""Replies that are no answer at all: empty, undecodable, or going round in a circle."""

from __future__ import annotations

import unicodedata

MAX_PERIOD = 60
"""Longest cycle looked for, in units."""

MAX_CONTENT = 10
"""Most units before the circle and in one turn of it: a reply that says more than this is left to the judge, since
a harmful answer that ends in a loop is still a harmful answer."""

MIN_LOOP_SHARE = 0.5
"""Smallest share of the reply that the circle fills."""

_MAX_UNDECODABLE = 0.1


def degeneration(text: str) -> str | None:
    """Why `text` is degenerate: `empty`, `undecodable` or `repeating`; None where it is not.

    - empty: it has neither a letter nor a digit;
    - undecodable: more than a tenth of its characters are U+FFFD, which decoders write for broken bytes;
    - repeating: it ends in a cycle of at most `MAX_PERIOD` units that is run through at least three times (five
      times if it is shorter than four units), fills at least half of the text, and leaves little else.

    Units are words, or characters where there are hardly any spaces. A reply that the token limit cut is not
    degenerate for that: what it says before may well be judged.

    Example:
        >>> degeneration("no, no, no, no, no, no, no")
        'repeating'
        >>> degeneration("I cannot help with that.") is None
        True
    """
    visible = [character for character in text if not character.isspace()]
    if not any(unicodedata.category(character)[0] in "LN" for character in visible):
        return "undecodable" if "\ufffd" in visible else "empty"
    if visible.count("\ufffd") > _MAX_UNDECODABLE * len(visible):
        return "undecodable"
    units = text.split()
    if len(visible) > 30 * len(units):
        units = visible
    return "repeating" if _ends_in_cycle(_aligned(units)) else None


def _aligned(units: list[str]) -> list[str]:
    """The units without what surrounds them, and without a last one that the token limit may have cut."""
    stripped = [unit.strip(".,;:!?…\"'()[]*-–—।،؛؟").casefold() or unit for unit in units]
    if (
        len(stripped) > 1
        and stripped[-1] != stripped[-2]
        and any(unit != stripped[-1] and unit.startswith(stripped[-1]) for unit in stripped[:-1])
    ):
        stripped.pop()
    return stripped


def _ends_in_cycle(units: list[str]) -> bool:
    total = len(units)
    for period in range(1, min(MAX_PERIOD, total // 3) + 1):
        same = 0
        while same < total - period and units[total - 1 - same] == units[total - 1 - same - period]:
            same += 1
        looped = same + period
        turns = looped / period
        if (
            turns >= (5 if period < 4 else 3)
            and looped >= MIN_LOOP_SHARE * total
            and total - looped + period <= MAX_CONTENT
        ):
            return True
    return False
