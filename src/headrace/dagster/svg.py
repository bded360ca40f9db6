"""Small plots as inline SVG: Dagster renders them where markdown holds a data: URI."""

import base64
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, FOOT = 720, 120, 16
# Colours that are told apart on light and dark pages, also by colour-blind readers.
COLOURS = {
    "PASS": "#2a9d8f",
    "WARN": "#e9c46a",
    "QUARANTINE": "#f4a261",
    "BLOCK": "#d1495b",
    "ERROR": "#7b2d8b",
    "MISSING": "#9aa0a6",
}


def bars(days: Sequence[tuple[str, int, str]], title: str) -> str:
    """One bar a day, of (label, height, verdict); a day without rows is a full pale bar."""
    peak = max((height for _, height, _ in days), default=0) or 1
    step = WIDTH / max(len(days), 1)
    shapes = [_bar(n * step, step, day[1] / peak, day) for n, day in enumerate(days)]
    first, last = (days[0][0], days[-1][0]) if days else ("", "")
    foot = (
        f'<text x="0" y="{HEIGHT - 3}">{escape(first)}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 3}" text-anchor="end">{escape(last)}</text>'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 3}" text-anchor="middle">{escape(title)}, '
        f"most {peak:,}</text>"
    )
    style = 'font-family="sans-serif" font-size="11" fill="#808080"'
    return image(f"<g>{''.join(shapes)}</g><g {style}>{foot}</g>", title)


def image(body: str, title: str) -> str:
    """SVG elements as a markdown image that needs no file and no network."""
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}">{body}</svg>'
    )
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()})"


def _bar(x: float, step: float, share: float, day: tuple[str, int, str]) -> str:
    label, rows, verdict = day
    room = HEIGHT - FOOT
    height = room * share if rows else room
    opacity = 1 if rows else 0.45
    return (
        f'<rect x="{x:.2f}" y="{room - height:.2f}" width="{max(step * 0.85, 0.6):.2f}" '
        f'height="{height:.2f}" fill="{COLOURS.get(verdict, "#9aa0a6")}" fill-opacity="{opacity}">'
        f"<title>{escape(label)}: {rows:,} rows, {escape(verdict)}</title></rect>"
    )
