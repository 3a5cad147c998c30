"""Specifications into SVG and PNG, by vl-convert: no browser, no network, no script in what comes out."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from alignment_prism.reports.figures.theme import ROLES

_SPEECH = re.compile(r' (?:role|aria-[a-z]+|pointer-events|class)="[^"]*"')
_FONT = re.compile(r' font-family="[^"]*"')
_BACKGROUND = re.compile(r'<path(?: class="background")? d="M0,0h0v0h0Z"/>|<g></g>|<path d="" ?/>')
_LONG = re.compile(r"(\d\.\d\d)\d+")
_VARIABLES = {colours[0]: f"var(--f-{role.replace('_', '-')})" for role, colours in ROLES.items()}
_NO_TEXT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML may hold: at a name with such a character the renderer would end the process."""
_COLOUR = re.compile("|".join(re.escape(colour) for colour in _VARIABLES))


def converted(spec: dict[str, Any]) -> str:
    """A specification of Vega-Lite as an SVG, without a background and what only scripts would use."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(_drawable(spec))
    return _clean(drawn)


def svg(drawn: str, title: str, description: str) -> str:
    """An SVG that stands alone, on white, from what `converted` gave."""
    drawn = drawn.replace("<g ", '<rect width="100%" height="100%" fill="#ffffff"/><g ', 1)
    return _labelled(drawn, title, description)


def inline_svg(drawn: str, title: str, description: str, name: str) -> str:
    """An SVG for a page: its fonts, its variables as colours, and as wide as there is room, up to its own width.

    Args:
        drawn: what `converted` gave.
        title: in words.
        description: likewise, longer.
        name: unique on the page.
    """
    drawn = _FONT.sub("", drawn)
    drawn = _COLOUR.sub(lambda found: _VARIABLES[found.group()], drawn)
    drawn = re.sub(r'(<svg[^>]*?) width="(\d+)" height="\d+"', r'\1 style="max-width:\2px"', drawn, count=1)
    return _labelled(drawn, title, description, name)


def png(spec: dict[str, Any], scale: float) -> bytes:
    """A PNG on white.

    Args:
        spec: of Vega-Lite.
        scale: pixels for each of the SVG's.
    """
    import vl_convert

    config = {**spec["config"], "background": "#ffffff", "font": "Noto Sans, sans-serif"}
    drawn: bytes = vl_convert.vegalite_to_png(_drawable({**spec, "config": config}), scale=scale)
    return drawn


def _drawable(value: Any) -> Any:
    """A specification with U+FFFD in place of every character that cannot be drawn."""
    if isinstance(value, str):
        return _NO_TEXT.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_drawable(name): _drawable(inner) for name, inner in value.items()}
    return [_drawable(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _clean(drawn: str) -> str:
    """Without what only scripts and Vega's own readers of marks would use."""
    drawn = _SPEECH.sub("", drawn.replace(' xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1"', ""))
    return _LONG.sub(r"\1", _BACKGROUND.sub("", drawn))


def _labelled(drawn: str, title: str, description: str, name: str = "figure") -> str:
    """With a title and a description that screen readers say."""
    ids = f"{name}-title", f"{name}-desc"
    title, description = (escape(_drawable(text)) for text in (title, description))
    head = f'<title id="{ids[0]}">{title}</title><desc id="{ids[1]}">{description}</desc>'
    about = f' role="img" aria-labelledby="{ids[0]}" aria-describedby="{ids[1]}">'
    return re.sub(r"(<svg[^>]*)>", lambda found: found.group(1) + about + head, drawn, count=1)
