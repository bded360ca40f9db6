"""Small inline plots as SVG text without dependencies, or as markdown that needs no server.

Each plot has its own background and follows the reader's dark mode, so that it can be read on any
page. Colour never carries meaning alone: values are in titles, labels or heights.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape

_STYLE = """<style>
.g{fill:#fff}.t{fill:#333;font:11px system-ui,sans-serif}.a{stroke:#999;fill:none}
.l{stroke:#1f6fb2;fill:none;stroke-width:1.6}.m{stroke:#b3261e;fill:none;stroke-dasharray:4 3}
.b{fill:#1f6fb2}.w{fill:#c98500}.r{fill:#b3261e}.p{fill:#6a3fb5}.n{fill:#c9ced6}
.h0{fill:#eef1f5}.h1{fill:#fbe3b5}.h2{fill:#f5b45c}.h3{fill:#e0701f}.h4{fill:#b3261e}
@media (prefers-color-scheme:dark){
.g{fill:#1d2126}.t{fill:#dde2e8}.a{stroke:#6b7480}.l{stroke:#6db3f2}.m{stroke:#ff8a80}
.b{fill:#6db3f2}.w{fill:#f0b429}.r{fill:#ff8a80}.p{fill:#b79cf0}.n{fill:#4a525c}
.h0{fill:#2a3037}.h1{fill:#5c4a22}.h2{fill:#96691f}.h3{fill:#d9752b}.h4{fill:#ff6b5e}}
</style>"""
_PAD_LEFT, _PAD_TOP, _PAD_RIGHT, _PAD_BOTTOM = 48, 26, 12, 22
HEAT_STEPS = (0.5, 1.0, 1.5, 3.0)


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    place = f'x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}"'
    return f'<text class="t" {place}>{escape(text)}</text>'


def _short(name: str, length: int = 30) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


def svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    """Return one complete SVG image; screen readers read its `title`, too."""
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img"><title>{escape(title)}</title>{_STYLE}'
        f'<rect class="g" width="{width}" height="{height}" rx="6"/>'
        f"{_text(10, 17, title)}{body}</svg>"
    )


def markdown(picture: str, alt: str) -> str:
    """Return the picture as a markdown image with its bytes inside."""
    data = base64.b64encode(picture.encode()).decode()
    safe = alt.replace("[", "(").replace("]", ")").replace("\n", " ")
    return f"![{safe}](data:image/svg+xml;base64,{data})"


def line(
    title: str,
    values: Sequence[float | None],
    labels: Sequence[str],
    limit: Sequence[float | None] = (),
) -> str:
    """Plot values over evenly spaced labels; None is a gap, `limit` a second, dashed line."""
    width, height = 640, 180
    numbers = [v for v in (*values, *limit) if v is not None]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    parts = _frame(width, height, low, high, labels)
    for css, series in (("l", values), ("m", limit)):
        path = _path(series, width, height, low, high)
        parts.append(f'<path class="{css}" d="{path}"/>' if path else "")
    return svg(width, height, title, parts)


def bars(title: str, values: Sequence[float], labels: Sequence[str]) -> str:
    """Plot one bar for each value, from zero; negative values count as zero."""
    width, height = 640, 180
    high = max(values, default=0.0) or 1.0
    parts = _frame(width, height, 0.0, high, labels)
    step = (width - _PAD_LEFT - _PAD_RIGHT) / max(1, len(values))
    for at, value in enumerate(values):
        tall = max(0.0, value) / high * (height - _PAD_TOP - _PAD_BOTTOM)
        name = escape(f"{labels[at]}: {value:g}")
        parts.append(
            f'<rect class="b" x="{_number(_PAD_LEFT + at * step + step * 0.1)}" '
            f'y="{_number(height - _PAD_BOTTOM - tall)}" width="{_number(step * 0.8)}" '
            f'height="{_number(tall)}"><title>{name}</title></rect>'
        )
    return svg(width, height, title, parts)


def _frame(width: int, height: int, low: float, high: float, labels: Sequence[str]) -> list[str]:
    base, right = height - _PAD_BOTTOM, width - _PAD_RIGHT
    parts = [
        f'<path class="a" d="M{_PAD_LEFT} {_PAD_TOP}V{base}H{right}"/>',
        _text(_PAD_LEFT - 5, _PAD_TOP + 8, f"{high:.3g}", "end"),
        _text(_PAD_LEFT - 5, base, f"{low:.3g}", "end"),
    ]
    if labels:
        parts += [
            _text(_PAD_LEFT, height - 7, labels[0]),
            _text(right, height - 7, labels[-1], "end"),
        ]
    return parts


def _path(values: Sequence[float | None], width: int, height: int, low: float, high: float) -> str:
    step = (width - _PAD_LEFT - _PAD_RIGHT) / max(1, len(values) - 1)
    span = (high - low) or 1.0
    parts, move = [], "M"
    for at, value in enumerate(values):
        if value is None:
            move = "M"
            continue
        y = height - _PAD_BOTTOM - (value - low) / span * (height - _PAD_TOP - _PAD_BOTTOM)
        parts.append(f"{move}{_number(_PAD_LEFT + at * step)} {_number(y)}")
        move = "L"
    return "".join(parts)


def heat(title: str, rows: Mapping[str, Sequence[float | None]], labels: Sequence[str]) -> str:
    """Plot a heat map with one row per name. Values are relative to a limit, which is 1.

    A missing value stays empty. One path holds all cells of one shade, to keep a year small.
    """
    margin, cell, tall = 190, 11, 14
    width = margin + cell * max(1, len(labels)) + _PAD_RIGHT
    height = _PAD_TOP + tall * len(rows) + _PAD_BOTTOM
    shades: list[list[str]] = [[] for _ in range(len(HEAT_STEPS) + 1)]
    parts = []
    for row, (name, values) in enumerate(rows.items()):
        y = _PAD_TOP + row * tall
        parts.append(_text(margin - 6, y + 10, _short(name), "end"))
        for at, value in enumerate(values):
            if value is not None:
                shade = sum(value > step for step in HEAT_STEPS)
                shades[shade].append(f"M{margin + at * cell} {y}h{cell - 1}v{tall - 1}h{1 - cell}z")
    parts += [f'<path class="h{n}" d="{"".join(d)}"/>' for n, d in enumerate(shades) if d]
    parts += _legend(width)
    if labels:
        parts += [
            _text(margin, height - 7, labels[0]),
            _text(width - _PAD_RIGHT, height - 7, labels[-1], "end"),
        ]
    return svg(width, height, title, parts)


def _legend(width: int) -> list[str]:
    """Return the legend of the shades, to the right of the title."""
    words = [f"≤ {HEAT_STEPS[0]:g}", *(f"> {step:g}" for step in HEAT_STEPS)]
    start = width - _PAD_RIGHT - 46 * len(words)
    parts = []
    for shade, word in enumerate(words):
        x = start + 46 * shade
        parts += [f'<path class="h{shade}" d="M{x} 8h10v10h-10z"/>', _text(x + 13, 17, word)]
    return parts


def timeline(
    title: str, marks: Sequence[str], labels: Sequence[str], styles: Mapping[str, str]
) -> str:
    """Plot one column per label; its height and colour show its mark.

    `styles` maps each possible mark, least severe first, to a CSS class (n, b, w, r, p).
    """
    order = list(styles)
    width, height = 640, 44 + 18 * len(order)
    step = (width - 90 - _PAD_RIGHT) / max(1, len(marks))
    base = height - _PAD_BOTTOM
    parts = [_text(84, base - 5 - 18 * rank, mark, "end") for rank, mark in enumerate(order)]
    for at, mark in enumerate(marks):
        tall = 18 * order.index(mark) + 14
        parts.append(
            f'<rect class="{styles[mark]}" x="{_number(90 + at * step)}" y="{base - tall}" '
            f'width="{_number(max(1.0, step - 1.5))}" height="{tall}">'
            f"<title>{escape(labels[at])}: {escape(mark)}</title></rect>"
        )
    if labels:
        parts += [
            _text(90, height - 7, labels[0]),
            _text(width - _PAD_RIGHT, height - 7, labels[-1], "end"),
        ]
    return svg(width, height, title, parts)
