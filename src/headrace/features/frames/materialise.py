"""Materialised columns of a view, stored on disk and recomputed only for rows that can change.

A fact that becomes usable at time k does not affect rows with `t` before k. If a table has new
files, let k be the earliest time at which one of their rows becomes usable: the rows with `t`
before k are kept, and only later rows are recomputed. If files were removed or replaced, or the
definition has changed, all rows are recomputed.

The folder `<home>/features/<pipeline>/<view>/` has `state.json` and Parquet segments. Only the
first `rows` rows of a segment are valid; the rest is obsolete.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.files import digest, move_into_place, temporary_beside, write_json

FORMAT = 1
# Above this number of segments, reading them takes longer than rewriting them as one file.
MOST_SEGMENTS = 40


@dataclass(frozen=True)
class Inputs:
    """Inputs of a view: the hash of its definition, and the files of each table that it reads."""

    definition: str
    files: Mapping[str, tuple[str, ...]]

    @property
    def key(self) -> str:
        return digest({"definition": self.definition, "files": self.files})


@dataclass(frozen=True)
class Segment:
    file: str
    rows: int


@dataclass(frozen=True)
class ViewState:
    format: int
    definition: str
    files: dict[str, list[str]]
    segments: list[Segment]

    @property
    def rows(self) -> int:
        return sum(segment.rows for segment in self.segments)


@dataclass(frozen=True)
class Materialised:
    """Columns of a view in spine order, and the number of rows computed by this call."""

    table: pa.Table
    computed: int


def materialise(
    folder: Path,
    inputs: Inputs,
    spine: pa.Table,
    compute: Callable[[pa.Table], pa.Table],
    usable_from: Callable[[Mapping[str, tuple[str, ...]]], int | None],
) -> Materialised:
    """Return the view's columns for all rows of the spine; recompute only rows that may change.

    Args:
        folder: folder of the view.
        inputs: current inputs of the view.
        spine: all rows, ordered by `t` (int64 microseconds).
        compute: function from rows of the spine to the view's columns, in the same order.
        usable_from: function from files by table to the earliest time at which one of their rows
            is usable, in microseconds; None if they have no rows.
    """
    old = read_state(folder)
    keep = _rows_to_keep(old, inputs, spine, usable_from)
    if old is not None and keep == spine.num_rows == old.rows and _files(inputs) == old.files:
        return Materialised(read_segments(folder, old), 0)
    reused = _shorten(old.segments, keep) if old is not None else []
    fresh = compute(spine.slice(keep))
    if len(reused) >= MOST_SEGMENTS and old is not None:
        fresh = pa.concat_tables([read_segments(folder, old).slice(0, keep), fresh])
        reused = []
    segments = reused
    if fresh.num_rows or not reused:
        first = sum(segment.rows for segment in reused)
        segments = [*reused, _write_segment(folder, f"{inputs.key[:32]}-{first}", fresh)]
    state = ViewState(FORMAT, inputs.definition, _files(inputs), segments)
    write_json(folder / "state.json", asdict(state))
    _forget_others(folder, segments)
    table = read_segments(folder, state) if reused else fresh
    return Materialised(table, spine.num_rows - keep)


def read_state(folder: Path) -> ViewState | None:
    """Return the stored state; None if it is absent, has another format or lacks a segment.

    If it is None, the view is recomputed; a damaged cache is not repaired.
    """
    try:
        raw: dict[str, Any] = json.loads((folder / "state.json").read_text())
    except FileNotFoundError:
        return None
    if raw["format"] != FORMAT:
        return None
    segments = [Segment(**segment) for segment in raw["segments"]]
    # If two runs write at the same time, one may have removed segments of the other.
    if not all((folder / segment.file).exists() for segment in segments):
        return None
    return ViewState(raw["format"], raw["definition"], raw["files"], segments)


def read_segments(folder: Path, state: ViewState) -> pa.Table:
    return pa.concat_tables(
        pq.read_table(folder / segment.file).slice(0, segment.rows) for segment in state.segments
    ).combine_chunks()


def _files(inputs: Inputs) -> dict[str, list[str]]:
    return {table: sorted(files) for table, files in sorted(inputs.files.items())}


def _rows_to_keep(
    old: ViewState | None,
    inputs: Inputs,
    spine: pa.Table,
    usable_from: Callable[[Mapping[str, tuple[str, ...]]], int | None],
) -> int:
    """Return the number of rows at the start of the spine that cannot have changed."""
    if old is None or old.definition != inputs.definition or set(old.files) != set(inputs.files):
        return 0
    now = _files(inputs)
    if any(set(old.files[table]) - set(now[table]) for table in now):
        return 0
    added = {table: tuple(sorted(set(now[table]) - set(old.files[table]))) for table in now}
    frontier = usable_from({table: files for table, files in added.items() if files})
    if frontier is None:
        return min(old.rows, int(spine.num_rows))
    moments = spine["t"].combine_chunks().to_numpy()
    return min(int(moments.searchsorted(frontier)), old.rows)


def _shorten(segments: list[Segment], rows: int) -> list[Segment]:
    shortened = []
    for segment in segments:
        count = min(segment.rows, rows)
        if count:
            shortened.append(Segment(segment.file, count))
        rows -= count
    return shortened


def _write_segment(folder: Path, name: str, fresh: pa.Table) -> Segment:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    temporary = temporary_beside(path)
    pq.write_table(fresh, temporary, compression="zstd", compression_level=1)
    move_into_place(temporary, path)
    return Segment(path.name, fresh.num_rows)


def _forget_others(folder: Path, segments: list[Segment]) -> None:
    file_names = {segment.file for segment in segments}
    for path in folder.glob("*.parquet"):
        if path.name not in file_names:
            path.unlink(missing_ok=True)
