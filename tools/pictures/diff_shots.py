"""Take the pictures of docs/reference/dataset-diff.md.

`python -m tools.pictures.screenshots --diff --home HOME` runs it.
HOME must have the flights' first release. It is released into a temporary store, and then a second
release in which two weeks of wind speeds are in knots and a third of a week's flights is missing.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
from playwright.sync_api import sync_playwright

from headrace.core.clock import DAY, parse_iso
from headrace.datasets import InputTable, open_release, release
from headrace.datasets.diff import ReleaseDiff, diff
from pipelines.flights.dataset import DATASET

PHONE, WIDE = (390, 844), (1400, 1000)
KNOTS = 1.94384
KNOTS_FROM, THINNED_FROM = "2013-08-05T04:00:00Z", "2013-09-09T04:00:00Z"
BEYOND = "2014-01-02T00:00:00Z"


def take_diff(home: Path, out: Path, executable: str, flags: list[str]) -> None:
    """Save the pictures: the page wide and on a phone, and its columns in dark colours."""
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, sync_playwright() as play:
        page_file = Path(folder) / "diff.html"
        page_file.write_text(two_releases(home, Path(folder) / "store").html(), encoding="utf-8")
        browser = play.chromium.launch(executable_path=executable, args=flags)
        for name, size, scheme, part in (
            ("diff-wide", WIDE, "light", ""),
            ("diff-phone", PHONE, "light", ""),
            ("diff-phone-dark", PHONE, "dark", "columns"),
        ):
            context = browser.new_context(
                color_scheme=scheme, viewport={"width": size[0], "height": size[1]}
            )
            page = context.new_page()
            page.goto(page_file.as_uri())
            if part:
                page.evaluate(f"document.getElementById('{part}').scrollIntoView()")
            page.screenshot(path=out / f"{name}.png")
            print(out / f"{name}.png")  # noqa: T201 - the answer of this script
            context.close()
        browser.close()


def two_releases(home: Path, store: Path) -> ReleaseDiff:
    """Release the flights unchanged and edited, and return the diff of the two releases."""
    whole = open_release("flights_delay@1.0.0", home / "store")
    manifest = whole.manifest
    frame = whole.arrow.drop_columns(["split"])
    frame = frame.append_column("label_reason", pa.nulls(frame.num_rows, pa.string()))
    for table in (frame, _edited(frame)):
        release(
            DATASET,
            table,
            inputs={name: _with_batches(given) for name, given in manifest.inputs.items()},
            definitions=manifest.definitions,
            mode=manifest.mode,
            code_revision=manifest.code_revision,
            store=store,
        )
    return diff(*(open_release(f"flights_delay@{v}", store) for v in ("1.0.0", "1.1.0")))


def _with_batches(given: InputTable) -> InputTable:
    form = {**given.to_json(), "batch_count": 0, "batch_list": ""}
    return InputTable.from_json(form)


def _edited(frame: pa.Table) -> pa.Table:
    moments = frame.column("t").cast(pa.int64())
    late = _between(moments, KNOTS_FROM, 14)
    for name in frame.column_names:
        if "wind_speed" in name:
            place, cells = frame.column_names.index(name), frame.column(name)
            knots = pc.multiply(cells.cast(pa.float64()), KNOTS)
            frame = frame.set_column(place, name, pc.if_else(late, knots, cells.cast(pa.float64())))
    third = pc.equal(pc.bit_wise_and(frame.column("flight").cast(pa.int64()), 3), 3)
    kept = pc.invert(pc.and_(_between(moments, THINNED_FROM, 7), third))
    return frame.filter(kept)


def _between(moments: pa.ChunkedArray, first: str, days: int) -> pa.ChunkedArray:
    start = parse_iso(first)
    return pc.and_(pc.greater_equal(moments, start), pc.less(moments, start + days * DAY))
