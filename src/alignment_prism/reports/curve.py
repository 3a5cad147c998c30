"""A curve as an SVG that needs nothing else: power by the number of prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 48, 56
COLOURS = ("#0b5394", "#b45f06", "#38761d", "#741b47")


def curve_svg(
    title: str, across: str, series: Mapping[str, Sequence[tuple[float, float]]], *, wanted: float, marked: float = 0.0
) -> str:
    """Curves of shares from 0 to 1, with a line at what is wanted.

    Args:
        title: of the plot.
        across: what runs from left to right.
        series: by name, points in order of their first number, which is above 0.
        wanted: share at which a line is drawn.
        marked: number from left to right at which one is drawn; 0 for none.
    """
    most = max(x for points in series.values() for x, _ in points)

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / most * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM)

    def line(first: tuple[float, float], last: tuple[float, float], style: str) -> str:
        (a, b), (c, d) = place(*first), place(*last)
        return f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}" {style}/>'

    def text(x: float, y: float, words: str, anchor: str = "middle") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13" role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(WIDTH / 2, 24, title),
    ]
    for tick in range(6):
        share, number = tick / 5, most * tick / 5
        parts.append(line((0, share), (most, share), 'stroke="#ddd"'))
        parts.append(text(LEFT - 8, place(0, share)[1] + 4, f"{share:.1f}", "end"))
        parts.append(text(place(number, 0)[0], HEIGHT - BOTTOM + 20, f"{number:,.0f}"))
    parts.append(text(WIDTH / 2, HEIGHT - 14, across))
    parts.append(line((0, wanted), (most, wanted), 'stroke="#666" stroke-dasharray="6 4"'))
    if 0 < marked <= most:
        parts.append(line((marked, 0), (marked, 1), 'stroke="#666" stroke-dasharray="2 3"'))
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<g fill="{colour}">{text(LEFT + 12, TOP + 14 + 16 * number, name, "start")}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"
