"""A frame on its way into a release: split, checked for leaks, fits made of its training rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError
from headrace.core.files import digest
from headrace.datasets.coverage import coverage
from headrace.datasets.fits.release_fits import fit_forms
from headrace.datasets.manifest import Column
from headrace.datasets.spec import DatasetSpec
from headrace.datasets.splits.assignment import OUTSIDE, assign, check_keys
from headrace.datasets.splits.leakage import check_leakage
from headrace.datasets.splits.rolling import Withheld
from headrace.datasets.store.split_files import CutSplit, cut_split
from headrace.datasets.store.store import Store
from headrace.datasets.table_shape import columns_of, shaped
from headrace.datasets.vocabulary import PLACES, SPLITS


@dataclass(frozen=True)
class Divided:
    """Splits ready to be stored; nothing is written before `store_found` is called.

    Attributes:
        columns: of the release, in order.
        splits: by name.
        left_out: rows in no split, by reason.
        leakage: what the check of leaks found, for the manifest.
        fits: the documents of what was fitted on train, by column.
        recent: the rows after training, with a label or not, that coverage is told of.
        guarded: texts that may name somebody. The report names of them only what stands in a split:
            nobody who is searched for in the rows is in the report alone.
    """

    columns: tuple[Column, ...]
    splits: Mapping[str, CutSplit]
    left_out: Mapping[str, int]
    leakage: Mapping[str, Any]
    fits: Mapping[str, Any]
    recent: pa.Table
    guarded: tuple[str, ...] = ()

    @property
    def fit_ids(self) -> dict[str, str]:
        """The names that the fits will have as objects."""
        return {name: digest(form) for name, form in self.fits.items()}

    @cached_property
    def coverage(self) -> dict[str, Any]:
        tables = [split.table for split in self.splits.values()]
        named = {
            name: pa.chunked_array([pc.unique(table.column(name)) for table in tables]).unique()
            for name in self.guarded
        }
        return coverage(self.splits["train"].table, self.recent, self.columns, named=named)

    def store_found(self, store: Store) -> str:
        """Store the fits and the coverage report; the object of the latter."""
        for form in self.fits.values():
            store.put_json(form)
        return store.put_json(self.coverage)


def divide(
    spec: DatasetSpec,
    frame: pa.Table,
    views: Mapping[str, str],
    end: int,
    withheld: Sequence[Withheld] = (),
) -> Divided:
    """Split a frame as `release` takes it; `end` is the cutoff, microseconds UTC.

    Raises DeclarationError when a key or too many rows leak between splits, or rows lack a label
    for an undeclared reason.
    """
    columns = columns_of(spec, frame.schema, views)
    moments = _moments(spec, frame.column("t"))
    given = assign(spec, moments, frame.column("label_reason"), end, frame, withheld=withheld)
    names = pa.array(np.array([*PLACES, None], dtype=object)[given.split], pa.string())
    columned = frame.select([c.name for c in columns if c.name not in {"t", "split"}])
    columned = columned.append_column("t", pa.array(moments, pa.timestamp("us", "UTC")))
    columned = columned.append_column("split", names)
    kept = np.flatnonzero(given.split >= 0)
    # The rows themselves are copied once, when they are put into order: a frame may be large.
    looked = list(dict.fromkeys([*spec.key, "t", "split", spec.target]))
    head = columned.select(looked).take(pa.array(kept))
    check_keys(spec, head)
    _check_labelled(spec, head)
    del head
    ordered = shaped(columned, columns, ["t", *spec.key], kept)
    places = PLACES if spec.evaluation else SPLITS
    splits = {name: _one(ordered, name, spec.key, given.left_out.get(name, {})) for name in places}
    leakage = check_leakage(spec, ordered, columns)
    return Divided(
        columns=columns,
        splits=splits,
        left_out=given.left_out.get(OUTSIDE, {}),
        leakage={**leakage, "because": spec.leakage.because},
        fits=fit_forms(splits["train"].table, spec.fits, columns),
        recent=columned.filter(pa.array(_is_recent(spec, moments, given.split))),
        guarded=tuple(column.name for column in columns if _may_name(spec, column)),
    )


def _may_name(spec: DatasetSpec, column: Column) -> bool:
    """Keys and spine say whom a row is about, and so may a feature that has a treatment."""
    treated = any(fnmatchcase(column.name, pattern) for pattern in spec.privacy)
    return column.type == "string" and (column.role in {"key", "spine"} or treated)


def _moments(spec: DatasetSpec, column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Microseconds UTC, whatever unit a timestamp has: pandas counts in others."""
    try:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", column.type.tz))
        if column.null_count:
            raise pa.ArrowInvalid(f"{column.null_count} rows have none")
        found: npt.NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    except pa.ArrowException as error:
        raise DeclarationError(
            f"t is no time of prediction: {error}",
            where=f"dataset {spec.name}, column t",
            fix="int64 microseconds UTC, or a timestamp without nulls and without nanoseconds",
        ) from error
    return found


def _is_recent(
    spec: DatasetSpec, t: npt.NDArray[np.int64], split: npt.NDArray[np.int8]
) -> npt.NDArray[np.bool_]:
    """What a model would have been asked after its training, and where time does not part the two,
    whatever it was not trained on.
    """
    bound = spec.splits.training_until
    found: npt.NDArray[np.bool_] = split != 0
    return found if bound is None else t >= bound


def _one(ordered: pa.Table, name: str, key: tuple[str, ...], left_out: dict[str, int]) -> CutSplit:
    places = np.flatnonzero(pc.equal(ordered.column("split"), name))
    first, last = (int(places[0]), int(places[-1])) if len(places) else (0, -1)
    # Splits that follow each other in time are slices: the table is in the order of time.
    sliced = last - first + 1 == len(places)
    table = ordered.slice(first, len(places)) if sliced else ordered.take(pa.array(places))
    return cut_split(table, key, left_out)


def _check_labelled(spec: DatasetSpec, kept: pa.Table) -> None:
    nulls = kept.column(spec.target).null_count
    if nulls:
        raise DeclarationError(
            f"{nulls} rows have neither a label nor a reason for lacking it",
            where=f"dataset {spec.name}, column {spec.target}",
            fix="the frame's label_reason must say why a label is null",
        )
