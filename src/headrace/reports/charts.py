"""Plots of a report as inline SVG, each with a text alternative."""

from collections.abc import Sequence

from headrace.gates.compare import Bars
from headrace.web import wording
from headrace.web.html import Html, element

_WIDE, _TALL = 240, 48
# Heights of the marks repeat what the colours show.
_HEIGHTS = {"PASS": 6, "WARN": 11, "QUARANTINE": 15, "BLOCK": 20, "ERROR": 20}
_STEP, _STRIP = 12, 24


def svg(width: int, height: int, label: str, *parts: Html) -> Html:
    box = f"0 0 {width} {height}"
    return element(
        "svg", *parts, role="img", aria_label=label, viewBox=box, width=width, height=height
    )


def histogram(bars: Bars, name: str) -> Html:
    """Plot this batch as an outline over grey bars of the other batch, in the same scale."""
    top = max((*bars.this, *bars.other), default=0.0) or 1.0
    step = _WIDE / max(1, len(bars.this))
    grey = [
        element("path", class_="o", d=_bar(at * step, step, share / top))
        for at, share in enumerate(bars.other)
        if share
    ]
    edge = _outline([share / top for share in bars.this], step)
    label = f"Histogram of {name}: this batch outlined, the last good one in grey"
    return svg(
        _WIDE,
        _TALL + 2,
        label,
        *grey,
        element("path", class_="tf", d=f"{edge}z"),
        element("path", class_="t", d=edge, stroke_width="1.5"),
        element("line", class_="ax", x1=0, x2=_WIDE, y1=_TALL + 1, y2=_TALL + 1),
    )


def _bar(x: float, width: float, share: float) -> str:
    tall = share * (_TALL - 2)
    return f"M{x + 0.5:.1f} {_TALL}v{-tall:.1f}h{width - 1:.1f}v{tall:.1f}z"


def _outline(shares: Sequence[float], step: float) -> str:
    path = f"M0 {_TALL}"
    for at, share in enumerate(shares):
        path += f"V{_TALL - share * (_TALL - 2):.1f}H{(at + 1) * step:.1f}"
    return f"{path}V{_TALL}"


def level(share: float, other: float, name: str) -> Html:
    """Plot two bars: this batch's share above that of the last good batch."""
    label = f"{name}: {wording.percent(share)}, was {wording.percent(other)}"
    return svg(
        120,
        16,
        label,
        element("rect", class_="ts", x=0, y=1, width=f"{120 * share:.1f}", height=6),
        element("rect", class_="o", x=0, y=9, width=f"{120 * other:.1f}", height=6),
    )


def strip(verdicts: Sequence[str], label: str) -> Html:
    """Plot one mark per batch, higher if more severe; the underlined last mark is this batch."""
    wide = max(30, len(verdicts)) * _STEP
    marks = [_mark(at, verdict) for at, verdict in enumerate(verdicts)]
    x = (len(verdicts) - 1) * _STEP
    underline = element("rect", class_="now", x=x, y=_STRIP - 2, width=_STEP - 2, height=2)
    return svg(wide, _STRIP, label, *marks, underline)


def _mark(at: int, verdict: str) -> Html:
    is_verdict = verdict in _HEIGHTS
    tall = _HEIGHTS.get(verdict, 2)
    return element(
        "rect", class_=f"s{verdict if is_verdict else 'NONE'}", x=at * _STEP, y=_STRIP - 4 - tall,
        width=_STEP - 2, height=tall, rx=1,
    )  # fmt: skip
