"""Rows per day as a plot in markdown, coloured by verdict."""

from collections.abc import Sequence
from html import escape

from headrace.lake.ledger.partition_state import SlotResult
from headrace.web.svg_plots import markdown, svg

WIDTH, HEIGHT, TOP, FOOT, SIDE = 720, 150, 26, 20, 10
# CSS classes of `headrace.web.svg_plots`, which follow dark mode. The tooltip also has the verdict.
_CLASS = {"PASS": "b", "WARN": "w", "QUARANTINE": "w", "BLOCK": "r", "ERROR": "p", "MISSING": "n"}


def day_plot(results: Sequence[SlotResult], title: str) -> str:
    """Plot delivered rows as one bar a day; a day without rows is a pale bar of full height."""
    peak = max((result.delivered for result in results), default=0) or 1
    step = (WIDTH - 2 * SIDE) / max(len(results), 1)
    bars = [
        _bar(SIDE + n * step, step * 0.85, result.delivered / peak, result)
        for n, result in enumerate(results)
    ]
    ends = [] if not results else _ends(results[0].slot, results[-1].slot)
    return markdown(svg(WIDTH, HEIGHT, f"{title}, at most {peak:,}", [*bars, *ends]), title)


def _bar(x: float, width: float, share: float, result: SlotResult) -> str:
    room = HEIGHT - TOP - FOOT
    tall = room * share if result.delivered else room
    pale = "" if result.delivered else ' fill-opacity="0.5"'
    tooltip = f"{result.slot}: {result.delivered:,} rows, {result.verdict}"
    return (
        f'<rect class="{_CLASS.get(result.verdict, "n")}" x="{x:.1f}" '
        f'y="{HEIGHT - FOOT - tall:.1f}" width="{max(width, 0.8):.1f}" height="{tall:.1f}"{pale}>'
        f"<title>{escape(tooltip)}</title></rect>"
    )


def _ends(first: str, last: str) -> list[str]:
    y = HEIGHT - 6
    return [
        f'<text class="t" x="{SIDE}" y="{y}">{escape(first)}</text>',
        f'<text class="t" x="{WIDTH - SIDE}" y="{y}" text-anchor="end">{escape(last)}</text>',
    ]
