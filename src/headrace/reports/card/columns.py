"""Columns of a release on its dataset card: role, type, nulls and distribution."""

from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.datasets.card.distributions import DistributionShape, shape
from headrace.datasets.governance.privacy import needs_treatment
from headrace.datasets.manifest import Manifest, ManifestColumn
from headrace.reports.charts import svg
from headrace.web.html import Html, element
from headrace.web.wording import counted, percent, shortened

if TYPE_CHECKING:
    from headrace.datasets.card.build import Card

_FIRST = 12  # columns that are not collapsed
_WIDE, _TALL = 240, 56


def columns(card: "Card") -> Html:
    """Compare training rows with all other rows, by column: label first, then the features."""
    from headrace.datasets.reader import Dataset

    manifest = card.manifest
    listed = [column for column in manifest.columns if column.role != "split"]
    listed.sort(key=lambda column: ("label", "feature", "spine", "time", "key").index(column.role))
    cards = []
    for column in listed:
        parts = {
            split: Dataset(card.store, manifest, (split,), (column.name,)).arrow.column(0)
            for split in manifest.splits
        }
        cards.append(_card(manifest, column, parts))
    rest = cards[_FIRST:]
    return element(
        "section",
        element("h2", "Columns"),
        element("p", element("span", class_="key t"), "training",
                element("span", class_="key o"), "all other rows", class_="small"),
        element("div", cards[:_FIRST], class_="cards"),
        element("details", element("summary", counted(len(rest), "more column")),
                element("div", rest, class_="cards")) if rest else None,
        id="columns",
    )  # fmt: skip


def _card(manifest: Manifest, column: ManifestColumn, parts: dict[str, pa.ChunkedArray]) -> Html:
    rows = sum(len(part) for part in parts.values())
    nulls = sum(part.null_count for part in parts.values())
    facts = manifest.privacy.get(column.name, {})
    # Show no values of personal columns: more people may see the card than the rows.
    closed = needs_treatment(facts.get("class", "public"))
    distribution = None if closed else _shape(parts, column.type)
    summary = f"{percent(nulls / rows)} null" if rows and nulls else "no nulls"
    if distribution is not None and distribution.distinct >= 0:
        summary += f", {counted(distribution.distinct, 'value')}"
    if facts:
        summary += f"; {facts['class']}, {facts['treatment']}"
    return element(
        "article",
        element("h3", element("bdi", column.name),
                element("span", f"{column.role}, {column.type}", class_="soft small")),
        element("p", summary, class_="small soft"),
        _picture(column.name, distribution) if distribution else None,
        class_="card",
    )  # fmt: skip


def _shape(parts: dict[str, pa.ChunkedArray], kind: str) -> DistributionShape | None:
    train = parts["train"]
    chunks = [chunk for name, part in parts.items() if name != "train" for chunk in part.chunks]
    return shape(train, pa.chunked_array(chunks, train.type), kind)


def _picture(name: str, distribution: DistributionShape) -> list[Html]:
    top = max((*distribution.train, *distribution.other), default=0.0) or 1.0
    step = _WIDE / len(distribution.train)
    grey = [
        element("path", class_="o", d=_bar(at * step, step, share / top))
        for at, share in enumerate(distribution.other)
        if share
    ]
    edge = f"M0 {_TALL}"
    for at, share in enumerate(distribution.train):
        edge += f"V{_TALL - share / top * (_TALL - 2):.1f}H{(at + 1) * step:.1f}"
    drawn = svg(
        _WIDE,
        _TALL + 2,
        f"Distribution of {name}: training outlined, all other rows in grey",
        *grey,
        element("path", class_="tf", d=f"{edge}V{_TALL}z"),
        element("path", class_="t", d=f"{edge}V{_TALL}", stroke_width="1.5"),
        element("line", class_="ax", x1=0, x2=_WIDE, y1=_TALL + 1, y2=_TALL + 1),
    )
    if distribution.levels:
        names = ", ".join(shortened(label, 18) for label in distribution.labels)
        rest = distribution.distinct - len(distribution.labels)
        under = element(
            "p", names + (f" and {rest:,} more" if rest > 0 else ""), class_="small soft"
        )
    else:
        ends = [element("span", label) for label in distribution.labels]
        under = element("div", ends, class_="ends")
    return [drawn, under]


def _bar(x: float, width: float, share: float) -> str:
    tall = share * (_TALL - 2)
    return f"M{x + 0.5:.1f} {_TALL}v{-tall:.1f}h{width - 1:.1f}v{tall:.1f}z"
