"""Plots of the monitor's report as inline SVG, each with a text alternative.

A plot covers half a year and fits the width of a phone; wide pages show two side by side.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.monitoring.detectors.shift_shapes import Shape
from headrace.monitoring.evidence.model import DISTRUSTED, MODEL, Evidence, day_text
from headrace.monitoring.run_details import Rate
from headrace.reports.charts import level, svg
from headrace.reports.monitor.model import Reign, WindowView
from headrace.web.html import Html, element, join
from headrace.web.wording import percent, shortened

CHUNK = 26  # windows per plot: half a year of weekly windows
WIDE = 364
HEAT_STEPS = (0.5, 1.0, 1.5, 3.0)
_LABEL_WIDTH, _LANE = 66, 24
_LANES: tuple[tuple[str, frozenset[str]], ...] = (
    ("fault", DISTRUSTED),
    ("moved", frozenset({"population"})),
    ("relation", MODEL),
)
_ACTIONS = {"none": 4, "watch": 9, "investigate": 14, "retrain": 19}
_NAMES, _TALL_CELL = 150, 14
_HIST, _HIST_TALL = 240, 56
_SHOWN_LEVELS = 7


def chunks(count: int) -> list[range]:
    """Split the windows into plots; return the range of window indices of each plot."""
    return [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def timeline(windows: Sequence[WindowView], reigns: Sequence[Reign]) -> Html:
    """Plot evidence by kind, decisions and champion changes; link windows that need attention."""
    return element("div", [_half(windows, reigns, chunk) for chunk in chunks(len(windows))],
                   class_="halves")  # fmt: skip


def _half(windows: Sequence[WindowView], reigns: Sequence[Reign], chunk: range) -> Html:
    step = (WIDE - _LABEL_WIDTH) / CHUNK
    base = 16 + _LANE * (len(_LANES) + 1)
    names = [*(name for name, _ in _LANES), "decision"]
    labels = [
        element("text", name, class_="tx", x=_LABEL_WIDTH - 6, y=16 + _LANE * (lane + 1) - 6,
                text_anchor="end")
        for lane, name in enumerate(names)
    ]  # fmt: skip
    rules = [
        element("line", class_="ax", x1=_LABEL_WIDTH, x2=WIDE, y1=16 + _LANE * (lane + 1),
                y2=16 + _LANE * (lane + 1))
        for lane in range(len(names))
    ]  # fmt: skip
    columns = [_column(windows[at], _LABEL_WIDTH + (at - chunk.start) * step, step) for at in chunk]
    marks = list(_crowned(windows, reigns, chunk, step, base))
    first, last = windows[chunk.start].entry.window, windows[chunk.stop - 1].entry.window
    label = f"Evidence and decisions from {day_text(first.first)} to {day_text(last.end - 1)}"
    ends = _ends(windows, chunk, base + 16, step)
    return svg(WIDE, base + 22, label, *labels, *rules, *columns, *marks, *ends)


def _column(view: WindowView, x: float, step: float) -> Html:
    parts = [
        part
        for lane, (_, kinds) in enumerate(_LANES)
        if (part := _mark(view, kinds, x, step, 16 + _LANE * (lane + 1)))
    ]
    tall, base = _ACTIONS[view.action], 16 + _LANE * (len(_LANES) + 1)
    parts.append(_bar(f"d{view.action}", x, step, base, tall))
    title = element("title", f"{view.entry.window.text}: {view.action}")
    inside = element("g", title, parts)
    return element("a", inside, href=f"#{anchor(view)}") if view.loud else inside


def anchor(view: WindowView) -> str:
    return f"w{view.entry.window.end}"


def _mark(view: WindowView, kinds: frozenset[str], x: float, step: float, base: int) -> Html | None:
    findings = [finding for finding in view.entry.evidence if finding.kind in kinds]
    if not findings:
        return None
    loud = any(finding.severity == "alarm" for finding in findings)
    return _bar("ealarm" if loud else "enotice", x, step, base, 17 if loud else 8)


def _bar(css: str, x: float, step: float, base: float, tall: float) -> Html:
    return element("rect", class_=css, x=f"{x + 1:.1f}", y=f"{base - tall:.1f}",
                   width=f"{step - 2:.1f}", height=f"{tall:g}")  # fmt: skip


def _crowned(
    windows: Sequence[WindowView], reigns: Sequence[Reign], chunk: range, step: float, base: int
) -> Iterator[Html]:
    """Yield a vertical line for each champion that began within the plot."""
    for reign in reigns:
        at = next((n for n in chunk if windows[n].closes >= reign.began), None)
        earlier = chunk.start and windows[chunk.start - 1].closes >= reign.began
        if at is None or earlier:
            continue
        x = f"{_LABEL_WIDTH + (at - chunk.start) * step + step / 2:.1f}"
        title = element("title", f"Champion {reign.ref}: {reign.reason}")
        line = element("line", class_="crown", x1=x, x2=x, y1=12, y2=base)
        yield element("g", title, line, element("text", "▼", class_="tx crowned", x=x, y=11,
                                                text_anchor="middle"))  # fmt: skip


def _ends(windows: Sequence[WindowView], chunk: range, y: int, step: float) -> Iterator[Html]:
    """Yield labels with the start days of the first and the last window of the plot."""
    for at, where in ((chunk.start, "start"), (chunk.stop - 1, "end")):
        if at == chunk.start and where == "end":
            return
        x = _LABEL_WIDTH + (at - chunk.start + (where == "end")) * step
        day = day_text(windows[at].entry.window.first)
        yield element("text", day, class_="tx", x=f"{x:.1f}", y=y, text_anchor=where)


def heat(windows: Sequence[WindowView], max_columns: int = 20) -> Html | None:
    """Plot how close each column came to its limit, by window; None if none was evaluated.

    Only the `max_columns` columns closest to their limits are shown.
    """
    rows = heat_rows(windows, max_columns)
    if not rows:
        return None
    return element("div", [_heat_half(windows, rows, chunk) for chunk in chunks(len(windows))],
                   class_="halves")  # fmt: skip


def heat_rows(windows: Sequence[WindowView], max_columns: int) -> list[str]:
    """Return the column names by their highest ratio to the limit, highest first."""
    highest: dict[str, float] = {}
    for view in windows:
        for name, value in (view.details.heat if view.details else {}).items():
            highest[name] = max(value, highest.get(name, 0.0))
    return sorted(highest, key=lambda name: (-highest[name], name))[:max_columns]


def _heat_half(windows: Sequence[WindowView], rows: Sequence[str], chunk: range) -> Html:
    step = (WIDE - _NAMES) / CHUNK
    shades: dict[int, list[str]] = {}
    labels = []
    for row, name in enumerate(rows):
        y = row * _TALL_CELL
        labels.append(
            element("text", element("title", name), _clipped(name), class_="tx hn", x=_NAMES - 5,
                    y=y + 11, text_anchor="end")
        )  # fmt: skip
        for at in chunk:
            details = windows[at].details
            value = None if details is None else details.heat.get(name)
            if value is not None:
                shade = sum(value > step for step in HEAT_STEPS)
                x = _NAMES + (at - chunk.start) * step
                box = f"M{x:.1f} {y + 1}h{step - 1:.1f}v{_TALL_CELL - 2}h{1 - step:.1f}z"
                shades.setdefault(shade, []).append(box)
    cells = [element("path", class_=f"h{shade}", d="".join(d)) for shade, d in shades.items()]
    tall = len(rows) * _TALL_CELL
    ends = [
        element("text", day_text(windows[at].entry.window.first), class_="tx", y=tall + 13,
                x=_NAMES if where == "start" else WIDE, text_anchor=where)
        for at, where in ((chunk.start, "start"), (chunk.stop - 1, "end"))
    ]  # fmt: skip
    label = "Distance of each column relative to its own limit, window by window"
    return svg(WIDE, tall + 18, label, *labels, *cells, *ends)


def _clipped(name: str, max_length: int = 28) -> str:
    """Shorten a long name in the middle, as in `carrier_orig…delay_last_6h`."""
    if len(name) <= max_length:
        return name
    return f"{name[: max_length // 2 - 2]}…{name[-(max_length - max_length // 2 + 1) :]}"


def heat_key() -> Html:
    words = [f"up to {HEAT_STEPS[0]:g}", *(f"over {step:g}" for step in HEAT_STEPS)]
    keys = [
        join([svg(14, 12, word, element("rect", class_=f"h{at}", x=0, y=0, width=14, height=12)),
              element("span", word)])
        for at, word in enumerate(words)
    ]  # fmt: skip
    return element("p", [element("span", key, class_="shade") for key in keys], class_="small")


def shape(name: str, distribution: Shape) -> Html:
    """Plot a histogram: "before" in grey, this window outlined; for text, the largest changes."""
    before, after = _shares(distribution.before), _shares(distribution.after)
    if distribution.labels[-3:-1] == ("rarer", "unknown"):
        return join(_levels(distribution.labels, before, after))
    labels, nulls = distribution.labels[:-1], (before[-1], after[-1])
    inner = [at for at in range(len(labels)) if before[at] or after[at]] or [0]
    span = slice(inner[0], inner[-1] + 1)
    first, last = labels[inner[0]], labels[inner[-1]]
    missing = f"Missing: {percent(nulls[1])}, was {percent(nulls[0])}." if any(nulls) else ""
    return join(
        [
            _histogram(name, before[span], after[span]),
            element("div", element("span", first), element("span", last), class_="ends"),
            element("p", missing, class_="small") if missing else None,
        ]
    )


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]


def _histogram(name: str, before: Sequence[float], after: Sequence[float]) -> Html:
    top = max((*before, *after), default=0.0) or 1.0
    step = _HIST / max(1, len(before))
    tall = _HIST_TALL - 4
    grey = [
        element("path", class_="o",
                d=f"M{at * step + 0.5:.1f} {_HIST_TALL}v{-share / top * tall:.1f}"
                f"h{step - 1:.1f}v{share / top * tall:.1f}z")
        for at, share in enumerate(before)
        if share
    ]  # fmt: skip
    edge = f"M0 {_HIST_TALL}"
    for at, share in enumerate(after):
        edge += f"V{_HIST_TALL - share / top * tall:.1f}H{(at + 1) * step:.1f}"
    edge += f"V{_HIST_TALL}"
    return svg(
        _HIST,
        _HIST_TALL + 2,
        f"{name}: share of rows in each bin, this window outlined, before in grey",
        *grey,
        element("path", class_="tf", d=f"{edge}z"),
        element("path", class_="t", d=edge, stroke_width="1.5"),
        element("line", class_="ax", x1=0, x2=_HIST, y1=_HIST_TALL + 1, y2=_HIST_TALL + 1),
    )


def _levels(labels: Sequence[str], before: Sequence[float], after: Sequence[float]) -> list[Html]:
    """Plot the categories whose shares changed most, this window's bar above the earlier one."""
    order = sorted(range(len(labels)), key=lambda at: (-abs(after[at] - before[at]), at))
    return [
        _level(
            labels[at], after[at], before[at], f"{percent(after[at])}, was {percent(before[at])}"
        )
        for at in order[:_SHOWN_LEVELS]
        if before[at] or after[at]
    ]


def _level(name: str, now: float, then: float, label: str) -> Html:
    short_name = shortened(name or "''", 24)
    return element(
        "div",
        element("bdi", short_name),
        level(min(1.0, now), min(1.0, then), short_name),
        element("span", label, class_="num"),
        class_="level",
    )


def loudest(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Sort evidence: alerts first, then by ratio of statistic to threshold, highest first."""
    return sorted(
        evidence,
        key=lambda evidence: (
            evidence.severity != "alarm",
            -(evidence.statistic / evidence.threshold if evidence.threshold > 0 else float("inf")),
            evidence.subject,
        ),
    )


def rates(levels: Sequence[Rate]) -> Html:
    """Plot observed above expected rate per category, the most significant difference first."""
    order = sorted(levels, key=lambda rate: (-_apart(rate), rate.level))[:_SHOWN_LEVELS]
    widest = max((max(rate.observed, rate.expected) for rate in order), default=0.0) or 1.0
    return join(
        [
            _level(rate.level, rate.observed / widest, rate.expected / widest,
                   f"{percent(rate.observed)}, scored {percent(rate.expected)} "
                   f"({rate.rows:,} rows)")
            for rate in order
        ]
    )  # fmt: skip


def _apart(rate: Rate) -> float:
    """Return the difference of the two rates in standard errors, assuming independent rows."""
    error = (rate.expected * (1 - rate.expected) / rate.rows) ** 0.5
    return abs(rate.observed - rate.expected) / error if error > 0 else 0.0


def most_apart(rates_by_column: Mapping[str, Sequence[Rate]], max_columns: int) -> list[str]:
    """Return the columns by the largest difference of observed and expected rate in a category."""
    worst = {
        name: max(map(_apart, levels), default=0.0) for name, levels in rates_by_column.items()
    }
    return sorted(rates_by_column, key=lambda name: (-worst[name], name))[:max_columns]


def differences(levels: Sequence[Mapping[str, Any]]) -> Html:
    """Plot the differences with their intervals around zero, largest first.

    Each entry is {value, rows, difference, low, high, worse}.
    """
    entries = sorted(
        levels, key=lambda entry: (-abs(float(entry["difference"])), str(entry["value"]))
    )
    entries = entries[: 2 * _SHOWN_LEVELS]
    reach = max(
        (max(abs(float(entry["low"])), abs(float(entry["high"]))) for entry in entries), default=0
    )
    return join([_difference(entry, reach or 1.0) for entry in entries])


def _difference(entry: Mapping[str, Any], reach: float) -> Html:
    low, high, middle = (float(entry[key]) for key in ("low", "high", "difference"))
    name = shortened(str(entry["value"]) or "''", 24)
    figures = f"{middle:+.4f} [{low:+.4f}, {high:+.4f}], {int(entry['rows']):,} rows"
    x = [60 + 58 * value / reach for value in (low, high, middle)]
    css = "ealarm" if entry.get("worse") else "ts"
    picture = svg(
        120,
        16,
        f"{name}: {figures}",
        element("line", class_="zero", x1=60, x2=60, y1=0, y2=16),
        element("rect", class_="o", x=f"{x[0]:.1f}", y=6, width=f"{max(1.0, x[1] - x[0]):.1f}",
                height=4),
        element("rect", class_=css, x=f"{x[2] - 2:.1f}", y=3, width=4, height=10),
    )  # fmt: skip
    label = element("span", figures, " ", element("strong", "worse", class_="bad")
                   if entry.get("worse") else None, class_="num")  # fmt: skip
    return element("div", element("bdi", name), picture, label, class_="level")
