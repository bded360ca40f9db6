"""Preparation of a training set for release: split it, check for leaks, fit the transforms."""

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
from headrace.datasets.manifest import ManifestColumn
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
        columns: columns of the release, in order.
        splits: splits by name.
        excluded: number of rows that belong to no split, by reason.
        leakage: result of the leakage check, for the manifest.
        fits: documents of the transforms fitted on train, by column.
        recent: rows after training, labelled or not, for the coverage report.
        guarded: text columns that may name a person. The coverage report shows only texts that
            occur in a split, so an erasure, which searches the rows, finds each named person.
    """

    columns: tuple[ManifestColumn, ...]
    splits: Mapping[str, CutSplit]
    excluded: Mapping[str, int]
    leakage: Mapping[str, Any]
    fits: Mapping[str, Any]
    recent: pa.Table
    guarded: tuple[str, ...] = ()

    @property
    def fit_ids(self) -> dict[str, str]:
        """{column: sha256} of the fits, before they are stored."""
        return {name: digest(form) for name, form in self.fits.items()}

    @cached_property
    def coverage(self) -> dict[str, Any]:
        tables = [split.table for split in self.splits.values()]
        allowed_texts = {
            name: pa.chunked_array([pc.unique(table.column(name)) for table in tables]).unique()
            for name in self.guarded
        }
        return coverage(
            self.splits["train"].table, self.recent, self.columns, allowed_texts=allowed_texts
        )

    def store_found(self, store: Store) -> str:
        """Store the fits and the coverage report; return the sha256 of the report."""
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
    """Split `frame`, described at `release`; `end` is the cutoff, microseconds UTC.

    Raises DeclarationError if a key or too many rows leak between splits, or rows lack a label
    for an undeclared reason.
    """
    columns = columns_of(spec, frame.schema, views)
    moments = _moments(spec, frame.column("t"))
    assignment = assign(spec, moments, frame.column("label_reason"), end, frame, withheld=withheld)
    names = pa.array(np.array([*PLACES, None], dtype=object)[assignment.split], pa.string())
    columned = frame.select([c.name for c in columns if c.name not in {"t", "split"}])
    columned = columned.append_column("t", pa.array(moments, pa.timestamp("us", "UTC")))
    columned = columned.append_column("split", names)
    included = np.flatnonzero(assignment.split >= 0)
    # The frame may be large, so its rows are copied only once, when they are sorted.
    checked_columns = list(dict.fromkeys([*spec.key, "t", "split", spec.target]))
    head = columned.select(checked_columns).take(pa.array(included))
    check_keys(spec, head)
    _check_labelled(spec, head)
    del head
    ordered = shaped(columned, columns, ["t", *spec.key], included)
    places = PLACES if spec.evaluation else SPLITS
    splits = {
        name: _split_rows(ordered, name, spec.key, assignment.excluded.get(name, {}))
        for name in places
    }
    leakage = check_leakage(spec, ordered, columns)
    return Divided(
        columns=columns,
        splits=splits,
        excluded=assignment.excluded.get(OUTSIDE, {}),
        leakage={**leakage, "because": spec.leakage.because},
        fits=fit_forms(splits["train"].table, spec.fits, columns),
        recent=columned.filter(pa.array(_is_recent(spec, moments, assignment.split))),
        guarded=tuple(column.name for column in columns if _may_name(spec, column)),
    )


def _may_name(spec: DatasetSpec, column: ManifestColumn) -> bool:
    """True for text columns that may name a person: key, spine, or with a privacy treatment."""
    treated = any(fnmatchcase(column.name, pattern) for pattern in spec.privacy)
    return column.type == "string" and (column.role in {"key", "spine"} or treated)


def _moments(spec: DatasetSpec, column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Prediction times as microseconds UTC, from int64 or a timestamp of any unit."""
    try:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", column.type.tz))
        if column.null_count:
            raise pa.ArrowInvalid(f"it has nulls ({column.null_count})")
        moments: npt.NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    except pa.ArrowException as error:
        raise DeclarationError(
            f"t is not a prediction time: {error}",
            where=f"dataset {spec.name}, column t",
            fix="int64 microseconds UTC, or a timestamp without nulls and without nanoseconds",
        ) from error
    return moments


def _is_recent(
    spec: DatasetSpec, t: npt.NDArray[np.int64], split: npt.NDArray[np.int8]
) -> npt.NDArray[np.bool_]:
    """True for rows after the end of training; without such a bound, for rows not in train."""
    bound = spec.splits.training_until
    flags: npt.NDArray[np.bool_] = split != 0
    return flags if bound is None else t >= bound


def _split_rows(
    ordered: pa.Table, name: str, key: tuple[str, ...], excluded: dict[str, int]
) -> CutSplit:
    places = np.flatnonzero(pc.equal(ordered.column("split"), name))
    first, last = (int(places[0]), int(places[-1])) if len(places) else (0, -1)
    # The table is sorted by time, so splits by time are contiguous slices.
    sliced = last - first + 1 == len(places)
    table = ordered.slice(first, len(places)) if sliced else ordered.take(pa.array(places))
    return cut_split(table, key, excluded)


def _check_labelled(spec: DatasetSpec, rows: pa.Table) -> None:
    nulls = rows.column(spec.target).null_count
    if nulls:
        raise DeclarationError(
            f"some rows ({nulls}) have neither a label nor a reason for lacking it",
            where=f"dataset {spec.name}, column {spec.target}",
            fix="label_reason must say why a label is null",
        )
