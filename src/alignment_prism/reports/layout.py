"""Tables for terminals of any width: what does not fit stands in a further table below; a number is never cut.

Rich shortens cells to fit a table in, which makes `25.3` and `25.9` the same `25...`. Here the columns of values keep
their width. Heads are wrapped first, then the columns that name a row, then values go to a further table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

GAP = 2
"""Characters that a column takes beside its own: rich's padding and edge, for the box below."""

READABLE, LEAST_LABEL = 12, 3
"""Columns that name a row are narrowed down to the first to keep a table whole, to the second to show a number."""


@dataclass(frozen=True)
class Sheet:
    """A table of values, to be printed by rich.

    Attributes:
        labels: heads of the columns that name a row; they are repeated in every part.
        heads: heads of the columns of values.
        rows: what names each row, and its values; a value may have several lines.
        caption: below the table.
    """

    labels: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    caption: str = ""

    def parts(self, width: int) -> Iterator[tuple[list[int], list[int], list[int]]]:
        """The tables that fit into `width` characters: widths of the labels, positions and widths of the values."""
        wide = [self._width(column, head) for column, head in enumerate(self.heads)]
        narrow = [self._width(column, *(word for word in head.split(" "))) for column, head in enumerate(self.heads)]
        labels = [_longest([head, *(row[0][column] for row in self.rows)]) for column, head in enumerate(self.labels)]
        everything = list(range(len(self.heads)))
        for widths in (wide, narrow):
            if _total([*labels, *widths]) <= width:
                yield labels, everything, widths
                return
        folded = _shrunk(labels, width - _total(narrow), READABLE)
        if _total([*folded, *narrow]) <= width:
            yield folded, everything, narrow
            return
        labels = _shrunk(labels, width - _total([max(narrow, default=0)]), LEAST_LABEL)
        part: list[int] = []
        for column in everything:
            if part and _total([*labels, *(narrow[one] for one in part), narrow[column]]) > width:
                yield labels, part, [narrow[one] for one in part]
                part = []
            part.append(column)
        if part:
            yield labels, part, [narrow[one] for one in part]

    def _width(self, column: int, *heads: str) -> int:
        return _longest([*heads, *(row[1][column] for row in self.rows)])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        for labels, columns, widths in self.parts(options.max_width):
            yield self._table(labels, columns, widths)
        if self.caption:
            yield Text(self.caption, style="table.caption")

    def _table(self, labels: Sequence[int], columns: Sequence[int], widths: Sequence[int]) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for head, width in zip(self.labels, labels, strict=True):
            table.add_column(Text(head), width=width, overflow="fold")
        for column, width in zip(columns, widths, strict=True):
            table.add_column(Text(self.heads[column]), width=width, justify="right", overflow="fold")
        for names, values in self.rows:
            if len(columns) < len(self.heads) and not any(values[column] for column in columns):
                continue  # nothing to say in this part
            table.add_row(*(Text(name) for name in names), *(Text(values[column]) for column in columns))
        return table


def _longest(texts: Sequence[str]) -> int:
    """Width of the longest line, at least one character."""
    from rich.cells import cell_len

    return max((cell_len(line) for text in texts for line in text.split("\n")), default=1) or 1


def _shrunk(labels: Sequence[int], room: int, least: int) -> list[int]:
    """Widths of label columns that fit into the room, the widest shortened first and none below the least."""
    widths = list(labels)
    while _total(widths) > room and max(widths) > least:
        widths[widths.index(max(widths))] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * len(widths)
