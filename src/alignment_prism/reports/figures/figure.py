"""A figure: what it is called, what it says in words, and its Vega-Lite specification at any width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from alignment_prism.reports.figures.render import converted, inline_svg, png, svg
from alignment_prism.reports.figures.theme import themed

WIDE, NARROW = 720, 340
"""Pixels: the column of a page on a desk, and a telephone's."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: short, good for a file.
        title: what it shows.
        caption: how to read it.
        description: what is drawn, with its numbers, for who does not see it.
        draw: Altair's chart at a width in pixels.
    """

    name: str
    title: str
    caption: str
    description: str
    draw: Callable[[int], Any]

    def spec(self, width: int = WIDE) -> dict[str, Any]:
        """The Vega-Lite specification at a width in pixels."""
        return themed(self.draw(width))

    def inline(self, width: int = WIDE) -> str:
        """An SVG for a page, its colours variables of the page's style."""
        return inline_svg(self._drawn(width), self.title, self.description, f"{self.name}-{width}")

    @cached_property
    def svg(self) -> str:
        """An SVG that stands alone, on white."""
        return svg(self._drawn(WIDE), self.title, self.description)

    def png(self, scale: float = 2.0) -> bytes:
        """A PNG on white, so many pixels to each of the SVG's."""
        return png(self.spec(), scale)

    def _drawn(self, width: int) -> str:
        return self._wide if width == WIDE else converted(self.spec(width))

    @cached_property
    def _wide(self) -> str:
        """Drawn once for a page and for a file of its own."""
        return converted(self.spec())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """What a notebook shows."""
        return {"image/svg+xml": self.svg, "text/plain": f"{self.title}\n{self.description}"}
