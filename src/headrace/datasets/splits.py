"""Which split a row belongs to, as of when its label is read, and why a row is left out."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.datasets.names import SPLITS
from headrace.datasets.spec import DatasetSpec
from headrace.errors import DeclarationError

Moments = npt.NDArray[np.int64]

# Why a row is left out, in the order the questions are asked; label reasons come after these.
OUTSIDE, IMMATURE, EMBARGO = "outside", "immature", "embargo"
_BY_CLOCK = (OUTSIDE, IMMATURE, EMBARGO)


@dataclass(frozen=True)
class Assignment:
    """`split` per row: index into SPLITS, or -1; `left_out` counts those by split and reason."""

    split: npt.NDArray[np.int8]
    left_out: dict[str, dict[str, int]]


def split_of(spec: DatasetSpec, t: Moments) -> npt.NDArray[np.int64]:
    """0 train, 1 valid, 2 test, 3 after the last bound; by prediction time alone."""
    places: npt.NDArray[np.int64] = np.searchsorted(np.array(spec.splits.bounds), t, side="right")
    return places


def label_cuts(spec: DatasetSpec, t: Moments, cutoff: int | None = None) -> Moments:
    """As of which moment each row's label is read, microseconds UTC.

    Training rows: the end of the training split. Validation rows, which choose the model: the end
    of validation. Test rows: the release cutoff. None is later than the cutoff.
    """
    end = spec.cutoff_us if cutoff is None else cutoff
    train, valid, _ = spec.splits.bounds
    ends: Moments = np.minimum(np.array([train, valid, end, end]), end)
    return ends[split_of(spec, t)]


def assign(
    spec: DatasetSpec, t: Moments, reasons: pa.ChunkedArray, cutoff: int | None = None
) -> Assignment:
    """Put rows into splits. `reasons` holds why a row has no label, null where it has one.

    A row is mature iff t + horizon + settle <= cut, by the clock: an answer that came early does
    not make it so.
    """
    end = spec.cutoff_us if cutoff is None else cutoff
    split = split_of(spec, t)
    settled = t + spec.label.matures_after
    bounds = np.array([*spec.splits.bounds[:2], np.iinfo(np.int64).max])
    clock = np.select(
        [
            split == len(SPLITS),
            settled > end,
            settled > bounds[np.minimum(split, 2)] - spec.splits.embargo_us,
        ],
        [0, 1, 2],
        default=-1,
    )
    codes, names = _reason_codes(reasons)
    why = np.where(clock >= 0, clock, np.where(codes >= 0, codes + len(_BY_CLOCK), -1))
    _check_reasons(spec, {names[code] for code in np.unique(codes[(clock < 0) & (codes >= 0)])})
    chosen = np.where(why < 0, split, -1).astype(np.int8)
    return Assignment(chosen, _counts(split, why, (*_BY_CLOCK, *names)))


def _reason_codes(reasons: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], list[str]]:
    """-1 where there is a label, else an index into the names of reasons."""
    encoded = pc.dictionary_encode(reasons.combine_chunks())
    codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return codes, encoded.dictionary.to_pylist()


def _check_reasons(spec: DatasetSpec, found: set[str]) -> None:
    """Refuses `immature`, too, where the clock says mature: it was read as of another cut."""
    if unknown := sorted(found - set(spec.left_out)):
        raise DeclarationError(
            f"the frame has rows without a label for undeclared reasons {unknown}",
            where=f"dataset {spec.name}, column label_reason",
            fix="read labels as of label_cuts(spec, t)"
            if IMMATURE in unknown
            else f"add them to left_out, now {sorted(spec.left_out)}, if they may be left out",
        )


def _counts(
    split: npt.NDArray[np.int64], why: npt.NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, dict[str, int]]:
    places = (*SPLITS, OUTSIDE)
    counted: dict[str, Counter[str]] = {place: Counter() for place in places}
    left = why >= 0
    pairs, numbers = np.unique(
        split[left] * len(names) + why[left].astype(np.int64), return_counts=True
    )
    for pair, number in zip(pairs.tolist(), numbers.tolist(), strict=True):
        place, reason = divmod(pair, len(names))
        counted[places[place]][names[reason]] += number
    return {place: dict(sorted(counts.items())) for place, counts in counted.items() if counts}


def check_keys(spec: DatasetSpec, table: pa.Table) -> None:
    """Refuse a key that occurs twice: across splits it leaks, within one it has no fixed order.

    `table` has the key columns, `t` and `split`.
    """
    keys = table.group_by(list(spec.key))
    if keys.aggregate([]).num_rows == table.num_rows:
        return
    grouped = keys.aggregate(
        [("split", "count"), ("split", "count_distinct"), ("t", "min"), ("t", "max")]
    )
    twice = grouped.filter(pc.greater(grouped.column("split_count"), 1))
    worst = twice.sort_by([("split_count_distinct", "descending")]).slice(0, 1).to_pylist()[0]
    across = worst["split_count_distinct"] > 1
    key = {name: worst[name] for name in spec.key}
    place = "across splits" if across else "in one split"
    raise DeclarationError(
        f"{twice.num_rows} keys occur more than once, {place}",
        where=f"dataset {spec.name}, for example {key} at {worst['t_min']} and {worst['t_max']}",
        fix="give the key another column that tells the rows apart"
        + (", or split by this key so that it cannot leak" if across else ", or drop one of them"),
    )
