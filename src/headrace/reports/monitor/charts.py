"""The pictures of the monitor's report as inline SVG; each says in words what it shows.

They are drawn for half a year at the width of a phone; a page lays two of them side by side.
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

CHUNK = 26  # windows of one picture: half a year of weeks
WIDE = 364
HEAT_STEPS = (0.5, 1.0, 1.5, 3.0)
_LEFT, _LANE = 66, 24
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
    """The windows of each picture; the last picture is as wide as the others."""
    return [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def timeline(windows: Sequence[WindowView], reigns: Sequence[Reign]) -> Html:
    """Evidence by kind, decisions, and where the champion changed; a loud window is a link."""
    return element("div", [_half(windows, reigns, some) for some in chunks(len(windows))],
                   class_="halves")  # fmt: skip


def _half(windows: Sequence[WindowView], reigns: Sequence[Reign], some: range) -> Html:
    step = (WIDE - _LEFT) / CHUNK
    base = 16 + _LANE * (len(_LANES) + 1)
    names = [*(name for name, _ in _LANES), "decision"]
    labels = [
        element("text", name, class_="tx", x=_LEFT - 6, y=16 + _LANE * (lane + 1) - 6,
                text_anchor="end")
        for lane, name in enumerate(names)
    ]  # fmt: skip
    rules = [
        element("line", class_="ax", x1=_LEFT, x2=WIDE, y1=16 + _LANE * (lane + 1),
                y2=16 + _LANE * (lane + 1))
        for lane in range(len(names))
    ]  # fmt: skip
    columns = [_column(windows[at], _LEFT + (at - some.start) * step, step) for at in some]
    marks = list(_crowned(windows, reigns, some, step, base))
    first, last = windows[some.start].entry.window, windows[some.stop - 1].entry.window
    says = f"Evidence and decisions from {day_text(first.first)} to {day_text(last.end - 1)}"
    ends = _ends(windows, some, base + 16, step)
    return svg(WIDE, base + 22, says, *labels, *rules, *columns, *marks, *ends)


def _column(view: WindowView, left: float, step: float) -> Html:
    parts = [
        part
        for lane, (_, kinds) in enumerate(_LANES)
        if (part := _mark(view, kinds, left, step, 16 + _LANE * (lane + 1)))
    ]
    tall, base = _ACTIONS[view.action], 16 + _LANE * (len(_LANES) + 1)
    parts.append(_bar(f"d{view.action}", left, step, base, tall))
    title = element("title", f"{view.entry.window.text}: {view.action}")
    inside = element("g", title, parts)
    return element("a", inside, href=f"#{anchor(view)}") if view.loud else inside


def anchor(view: WindowView) -> str:
    return f"w{view.entry.window.end}"


def _mark(
    view: WindowView, kinds: frozenset[str], left: float, step: float, base: int
) -> Html | None:
    found = [one for one in view.entry.evidence if one.kind in kinds]
    if not found:
        return None
    loud = any(one.severity == "alarm" for one in found)
    return _bar("ealarm" if loud else "enotice", left, step, base, 17 if loud else 8)


def _bar(css: str, left: float, step: float, base: float, tall: float) -> Html:
    return element("rect", class_=css, x=f"{left + 1:.1f}", y=f"{base - tall:.1f}",
                   width=f"{step - 2:.1f}", height=f"{tall:g}")  # fmt: skip


def _crowned(
    windows: Sequence[WindowView], reigns: Sequence[Reign], some: range, step: float, base: int
) -> Iterator[Html]:
    """A line through all lanes where a champion began; the first one may be before the picture."""
    for reign in reigns:
        at = next((n for n in some if windows[n].closes >= reign.began), None)
        earlier = some.start and windows[some.start - 1].closes >= reign.began
        if at is None or earlier:
            continue
        x = f"{_LEFT + (at - some.start) * step + step / 2:.1f}"
        title = element("title", f"{reign.ref} in charge: {reign.reason}")
        line = element("line", class_="crown", x1=x, x2=x, y1=12, y2=base)
        yield element("g", title, line, element("text", "▼", class_="tx crowned", x=x, y=11,
                                                text_anchor="middle"))  # fmt: skip


def _ends(windows: Sequence[WindowView], some: range, y: int, step: float) -> Iterator[Html]:
    """The day on which the first and the last window of the picture begin."""
    for at, where in ((some.start, "start"), (some.stop - 1, "end")):
        if at == some.start and where == "end":
            return
        x = _LEFT + (at - some.start + (where == "end")) * step
        day = day_text(windows[at].entry.window.first)
        yield element("text", day, class_="tx", x=f"{x:.1f}", y=y, text_anchor=where)


def heat(windows: Sequence[WindowView], most: int = 20) -> Html | None:
    """The columns that came nearest to their limits, week by week; None where none was judged."""
    rows = heat_rows(windows, most)
    if not rows:
        return None
    return element("div", [_heat_half(windows, rows, some) for some in chunks(len(windows))],
                   class_="halves")  # fmt: skip


def heat_rows(windows: Sequence[WindowView], most: int) -> list[str]:
    """Names of columns, the one furthest beyond its limit first."""
    highest: dict[str, float] = {}
    for view in windows:
        for name, value in (view.seen.heat if view.seen else {}).items():
            highest[name] = max(value, highest.get(name, 0.0))
    return sorted(highest, key=lambda name: (-highest[name], name))[:most]


def _heat_half(windows: Sequence[WindowView], rows: Sequence[str], some: range) -> Html:
    step = (WIDE - _NAMES) / CHUNK
    shades: dict[int, list[str]] = {}
    labels = []
    for row, name in enumerate(rows):
        y = row * _TALL_CELL
        labels.append(
            element("text", element("title", name), _clipped(name), class_="tx hn", x=_NAMES - 5,
                    y=y + 11, text_anchor="end")
        )  # fmt: skip
        for at in some:
            seen = windows[at].seen
            value = None if seen is None else seen.heat.get(name)
            if value is not None:
                shade = sum(value > step for step in HEAT_STEPS)
                left = _NAMES + (at - some.start) * step
                box = f"M{left:.1f} {y + 1}h{step - 1:.1f}v{_TALL_CELL - 2}h{1 - step:.1f}z"
                shades.setdefault(shade, []).append(box)
    cells = [element("path", class_=f"h{shade}", d="".join(d)) for shade, d in shades.items()]
    tall = len(rows) * _TALL_CELL
    ends = [
        element("text", day_text(windows[at].entry.window.first), class_="tx", y=tall + 13,
                x=_NAMES if where == "start" else WIDE, text_anchor=where)
        for at, where in ((some.start, "start"), (some.stop - 1, "end"))
    ]  # fmt: skip
    says = "How far each column came towards its own limit, window by window"
    return svg(WIDE, tall + 18, says, *labels, *cells, *ends)


def _clipped(name: str, most: int = 28) -> str:
    """Both ends of a long name: `carrier_orig…delay_last_6h`."""
    if len(name) <= most:
        return name
    return f"{name[: most // 2 - 2]}…{name[-(most - most // 2 + 1) :]}"


def heat_key() -> Html:
    words = [f"up to {HEAT_STEPS[0]:g}", *(f"over {step:g}" for step in HEAT_STEPS)]
    keys = [
        join([svg(14, 12, word, element("rect", class_=f"h{at}", x=0, y=0, width=14, height=12)),
              element("span", word)])
        for at, word in enumerate(words)
    ]  # fmt: skip
    return element("p", [element("span", key, class_="shade") for key in keys], class_="small")


def shape(name: str, shown: Shape) -> Html:
    """Before in grey, this window outlined or above: a histogram, or the levels that moved most."""
    before, after = _shares(shown.before), _shares(shown.after)
    if shown.labels[-3:-1] == ("rarer", "unknown"):
        return join(_levels(shown.labels, before, after))
    labels, nulls = shown.labels[:-1], (before[-1], after[-1])
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
    """Those whose share changed most, above each other: now, and before."""
    order = sorted(range(len(labels)), key=lambda at: (-abs(after[at] - before[at]), at))
    return [
        _level(
            labels[at], after[at], before[at], f"{percent(after[at])}, was {percent(before[at])}"
        )
        for at in order[:_SHOWN_LEVELS]
        if before[at] or after[at]
    ]


def _level(name: str, now: float, then: float, said: str) -> Html:
    shown = shortened(name or "''", 24)
    return element(
        "div",
        element("bdi", shown),
        level(min(1.0, now), min(1.0, then), shown),
        element("span", said, class_="num"),
        class_="level",
    )


def loudest(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Alarms first, then by how far each is beyond its threshold."""
    return sorted(
        evidence,
        key=lambda evidence: (
            evidence.severity != "alarm",
            -(evidence.statistic / evidence.threshold if evidence.threshold > 0 else float("inf")),
            evidence.subject,
        ),
    )


def rates(levels: Sequence[Rate]) -> Html:
    """Two bars a level, observed above expected; those furthest apart for their rows first."""
    order = sorted(levels, key=lambda one: (-_apart(one), one.level))[:_SHOWN_LEVELS]
    widest = max((max(one.observed, one.expected) for one in order), default=0.0) or 1.0
    return join(
        [
            _level(one.level, one.observed / widest, one.expected / widest,
                   f"{percent(one.observed)}, scored {percent(one.expected)} ({one.rows:,} rows)")
            for one in order
        ]
    )  # fmt: skip


def _apart(one: Rate) -> float:
    """How many standard errors the two rates are apart, if rows were independent."""
    error = (one.expected * (1 - one.expected) / one.rows) ** 0.5
    return abs(one.observed - one.expected) / error if error > 0 else 0.0


def most_apart(found: Mapping[str, Sequence[Rate]], most: int) -> list[str]:
    """The columns in whose levels observed and expected are furthest apart."""
    worst = {name: max(map(_apart, levels), default=0.0) for name, levels in found.items()}
    return sorted(found, key=lambda name: (-worst[name], name))[:most]


def differences(levels: Sequence[Mapping[str, Any]]) -> Html:
    """Intervals around a line at zero, of {value, rows, difference, low, high, worse}."""
    shown = sorted(levels, key=lambda one: (-abs(float(one["difference"])), str(one["value"])))
    shown = shown[: 2 * _SHOWN_LEVELS]
    reach = max((max(abs(float(one["low"])), abs(float(one["high"]))) for one in shown), default=0)
    return join([_difference(one, reach or 1.0) for one in shown])


def _difference(one: Mapping[str, Any], reach: float) -> Html:
    low, high, middle = (float(one[key]) for key in ("low", "high", "difference"))
    name = shortened(str(one["value"]) or "''", 24)
    said = f"{middle:+.4f} [{low:+.4f}, {high:+.4f}], {int(one['rows']):,} rows"
    x = [60 + 58 * value / reach for value in (low, high, middle)]
    css = "ealarm" if one.get("worse") else "ts"
    picture = svg(
        120,
        16,
        f"{name}: {said}",
        element("line", class_="zero", x1=60, x2=60, y1=0, y2=16),
        element("rect", class_="o", x=f"{x[0]:.1f}", y=6, width=f"{max(1.0, x[1] - x[0]):.1f}",
                height=4),
        element("rect", class_=css, x=f"{x[2] - 2:.1f}", y=3, width=4, height=10),
    )  # fmt: skip
    told = element("span", said, " ", element("strong", "worse", class_="bad")
                   if one.get("worse") else None, class_="num")  # fmt: skip
    return element("div", element("bdi", name), picture, told, class_="level")
