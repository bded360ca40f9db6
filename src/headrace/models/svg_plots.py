"""Plots of a model's metrics as SVG text, without a plotting library, and a report with them."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from headrace.models.tasks import BINARY, PredictionTask
from headrace.web.svg_plots import bars, markdown, svg
from headrace.web.wording import capital

_SIDE, _MARGIN_LEFT, _TOP = 240, 44, 34
_CLASS_PLOTS = 6  # classes with a plot, those with most rows


def reliability_svg(
    bins: Sequence[Mapping[str, Any]],
    title: str = "Reliability",
    span: tuple[float, float] = (0.0, 1.0),
) -> str:
    """Plot the observed mean against the forecast mean of each bin, both from `span`.

    The dashed diagonal is a perfect forecast. Larger dots have more rows.
    """
    low, high = span
    wide = (high - low) or 1.0
    filled = [bin_ for bin_ in bins if bin_["rows"]]
    max_rows = max((bin_["rows"] for bin_ in filled), default=1)
    points = [
        (_x((bin_["mean_prediction"] - low) / wide), _y((bin_["observed"] - low) / wide), bin_)
        for bin_ in filled
    ]
    path = " ".join(f"{'L' if n else 'M'}{x:.1f} {y:.1f}" for n, (x, y, _) in enumerate(points))
    radii = [2 + 6 * (bin_["rows"] / max_rows) ** 0.5 for bin_ in filled]
    dots = [
        f'<circle class="b" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
        f"<title>forecast {bin_['mean_prediction']:.3f}, observed {bin_['observed']:.3f}, "
        f"{bin_['rows']:,} rows</title></circle>"
        for (x, y, bin_), radius in zip(points, radii, strict=True)
    ]
    parts = [
        f'<path class="a" d="M{_x(0)} {_y(1)}V{_y(0)}H{_x(1)}"/>',
        f'<path class="m" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>',
        f'<path class="l" d="{path}"/>' if path else "",
        *dots,
        *(_label(_x(at), _y(0) + 14, f"{low + at * wide:.3g}", "middle") for at in (0, 0.5, 1)),
        *(_label(_x(0) - 5, _y(at) + 4, f"{low + at * wide:.3g}", "end") for at in (0, 0.5, 1)),
        _label(_x(0.5), _y(0) + 30, "forecast", "middle"),
    ]
    return svg(_MARGIN_LEFT + _SIDE + 20, _TOP + _SIDE + 42, title, parts)


def segments_svg(
    segments: Sequence[Mapping[str, Any]], title: str, task: PredictionTask = BINARY
) -> str:
    """Plot the loss of the model (bar) and the baseline (mark) for each value of a segment."""
    wide, step, margin = 420, 20, 90
    names = (task.primary, f"baseline_{task.primary}")
    max_loss = max((max(s[name] for name in names) for s in segments), default=1.0) or 1.0
    parts = []
    for n, segment in enumerate(segments):
        y = _TOP + n * step
        loss, baseline = (segment[name] for name in names)
        bar, mark = wide * loss / max_loss, wide * baseline / max_loss
        text = (
            f"{segment['value']}: {segment['rows']:,} rows, {task.title} {loss:.4f}, "
            f"baseline {baseline:.4f}"
        )
        place = f'x="{margin}" y="{y}" width="{bar:.1f}" height="14"'
        css = "n" if segment["thin"] else "b"
        parts += [
            _label(margin - 6, y + 11, str(segment["value"]), "end"),
            f'<rect class="{css}" {place}><title>{escape(text)}</title></rect>',
            f'<path class="m" d="M{margin + mark:.1f} {y - 2}v18"/>',
            _label(margin + wide + 6, y + 11, f"{loss:.3f}", "start"),
        ]
    foot = "bar: model (pale: few rows); dashed mark: baseline"
    tall = _TOP + len(segments) * step
    return svg(
        margin + wide + 60, tall + 24, title, [*parts, _label(margin, tall + 14, foot, "start")]
    )


def _x(value: float) -> float:
    return round(_MARGIN_LEFT + value * _SIDE, 1)


def _y(value: float) -> float:
    return round(_TOP + (1 - value) * _SIDE, 1)


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="t" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def model_report(metrics: Mapping[str, Any], task: PredictionTask = BINARY) -> str:
    """Return the metrics of a model on its test split as markdown with plots."""
    if not metrics.get("rows"):
        return "The test split is empty."
    names = task.reported
    lines = [f"| | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for forecast in ("model", "baseline", "constant", "last_value"):
        if forecast in metrics:
            values = " | ".join(_number(metrics[forecast][name]) for name in names)
            lines.append(f"| {forecast.replace('_', ' ')} | {values} |")
    sentence = str(metrics["against_baseline"]["says"])
    parts = [
        f"{metrics['rows']:,} rows over {metrics['days']} days. {capital(sentence)}.",
        "\n".join(lines),
        *_plots(metrics),
    ]
    for name, segments in metrics["segments"].items():
        title = f"{capital(task.title)} by {name}"
        parts.append(markdown(segments_svg(segments, title, task), name))
    return "\n\n".join(parts)


def _plots(metrics: Mapping[str, Any]) -> list[str]:
    """Return the plots of predictions against labels; for classes one of each frequent class."""
    bins = metrics["calibration"]
    if isinstance(bins, Mapping):
        frequent = sorted(bins, key=lambda name: -metrics["classes"][name])[:_CLASS_PLOTS]
        return [
            markdown(
                reliability_svg(bins[name], f"Reliability of {name}"), f"reliability of {name}"
            )
            for name in frequent
        ]
    if "residuals" not in metrics:
        return [markdown(reliability_svg(bins), "reliability")]
    means = [bin_[name] for bin_ in bins for name in ("mean_prediction", "observed")]
    span = (min(means), max(means))
    residuals = metrics["residuals"]
    edges = [f"{edge:.3g}" for edge in residuals["edges"]]
    histogram = bars("Residuals: label minus prediction, rows", residuals["rows"], edges)
    return [
        markdown(reliability_svg(bins, "Predicted and observed", span), "predicted and observed"),
        markdown(histogram, "residuals"),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
