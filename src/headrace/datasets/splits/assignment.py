"""Assignment of each row to a split, or to a reason for its exclusion."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError
from headrace.datasets.hashing.row_hash import Hashes, row_hashes
from headrace.datasets.spec import DatasetSpec
from headrace.datasets.splits.rolling import WITHHELD, Withheld, inside
from headrace.datasets.splits.rules import (
    Evaluation,
    GroupSplits,
    StratifiedSplits,
    TimeSplits,
    exact,
)
from headrace.datasets.vocabulary import EVALUATION, PLACES, SPLITS

Moments = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# Reasons for excluding a row, in the order of the checks; reasons of the label are checked last.
OUTSIDE, IN_EVALUATION_GROUP, WRONG_SIDE = "outside", "held out", "other side of the bound"
IMMATURE, EMBARGO = "immature", "embargo"
_BY_RULE = (OUTSIDE, WITHHELD, IN_EVALUATION_GROUP, WRONG_SIDE, IMMATURE, EMBARGO)
_APART, _NOWHERE = PLACES.index(EVALUATION), len(PLACES)
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Assignment:
    """`split` of each row: index into PLACES or -1; `excluded` counts rows by split and reason."""

    split: npt.NDArray[np.int8]
    excluded: dict[str, dict[str, int]]


def label_cuts(spec: DatasetSpec, t: Moments, cutoff: int | None = None) -> Moments:
    """Moment (cut) at which each row's label is read, microseconds UTC.

    For training rows it is the end of the training split. For validation rows of splits by time it
    is the end of validation. For all other rows, and for splits without a time bound, it is the
    cutoff of the release. It is never later than the cutoff.
    """
    end = spec.cutoff_us if cutoff is None else cutoff
    rule = spec.splits
    if isinstance(rule, TimeSplits):
        train, valid, _ = rule.bounds
        ends: Moments = np.minimum(np.array([train, valid, end]), end)
        return ends[np.minimum(_by_time(rule, t), 2)]
    bound = _NEVER if rule.after_us is None else rule.after_us
    before: Moments = np.where(t < bound, min(bound, end), end).astype(np.int64)
    return before


def assign(
    spec: DatasetSpec,
    t: Moments,
    reasons: pa.ChunkedArray,
    cutoff: int | None = None,
    rows: pa.Table | None = None,
    *,
    withheld: Sequence[Withheld] = (),
) -> Assignment:
    """Assign rows to splits, independently of the order of the rows.

    Args:
        spec: declaration of the dataset and its splits.
        t: prediction times, int64 microseconds UTC.
        reasons: strings: the reason why a row has no label, or null if it has one.
        cutoff: microseconds UTC, by default the spec's.
        rows: table with the key and the columns of groups and strata; splits by time alone do not
            need it.
        withheld: spans of `t` whose rows are in no split; see `headrace.datasets.splits.rolling`.

    A row is mature if and only if t + horizon + settle <= cut. An outcome that arrives earlier does
    not make the row mature earlier.
    """
    end = spec.cutoff_us if cutoff is None else cutoff
    codes, names = _reason_codes(reasons)
    apart, reserved = _kept_apart(spec, t, rows)
    settled = t + spec.label.matures_after
    faulty = inside(withheld, t)
    usable = (codes < 0) & (settled <= end) & ~apart & ~reserved & ~faulty
    split = np.where(apart, _APART, _place(spec, t, rows, usable))
    # Stratified splits give an unusable row no place. Such a row is excluded for its own reason,
    # not as outside.
    unplaced = ~usable if isinstance(spec.splits, StratifiedSplits) else np.zeros_like(usable)
    why = np.select(
        [
            (split == _NOWHERE) & ~(unplaced & _before_end(spec, t)),
            faulty,
            reserved,
            _on_the_wrong_side(spec, t, split),
            settled > end,
            settled > _bounds(spec)[split] - spec.splits.embargo_us,
        ],
        range(len(_BY_RULE)),
        default=-1,
    )
    _check_reasons(spec, {names[code] for code in np.unique(codes[(why < 0) & (codes >= 0)])})
    why = np.where(why >= 0, why, np.where(codes >= 0, codes + len(_BY_RULE), -1))
    assigned = np.where(why < 0, split, -1).astype(np.int8)
    return Assignment(assigned, _counts(split, why, (*_BY_RULE, *names)))


def _bounds(spec: DatasetSpec) -> Moments:
    """Moment by which a label must be settled, for each place, before the embargo is subtracted."""
    bounds = np.full(len(PLACES) + 1, _NEVER)
    if isinstance(spec.splits, TimeSplits):
        bounds[:2] = spec.splits.bounds[:2]
    elif spec.splits.after_us is not None:
        bounds[0] = spec.splits.after_us
    return bounds


def _place(spec: DatasetSpec, t: Moments, rows: pa.Table | None, usable: Flags) -> Codes:
    """Place of each row: an index into PLACES, or _NOWHERE."""
    rule = spec.splits
    if isinstance(rule, TimeSplits):
        return np.array([*range(len(SPLITS)), _NOWHERE])[_by_time(rule, t)]
    table = _needed(spec, rows)
    if isinstance(rule, GroupSplits):
        places = _by_group(spec, rule, table)
    else:
        places = _by_stratum(spec, rule, t, table, usable)
    return np.where(_before_end(spec, t), places, _NOWHERE)


def _before_end(spec: DatasetSpec, t: Moments) -> Flags:
    """True for rows before the end of the dataset; for all rows if it has no end."""
    until = None if isinstance(spec.splits, TimeSplits) else spec.splits.until_us
    flags: Flags = t < (_NEVER if until is None else until)
    return flags


def _by_time(rule: TimeSplits, t: Moments) -> Codes:
    """Place by prediction time alone: 0 train, 1 valid, 2 test, 3 after the last bound."""
    places: Codes = np.searchsorted(np.array(rule.bounds), t, side="right")
    return places


def _by_group(spec: DatasetSpec, rule: GroupSplits, rows: pa.Table) -> Codes:
    hashes = _group_hashes(spec, rows, rule.by, rule.salt)
    train, valid, _ = rule.shares
    places = np.full(len(hashes), 2)
    places[below(hashes, train + valid)] = 1
    places[below(hashes, train)] = 0
    return places


def _by_stratum(
    spec: DatasetSpec, rule: StratifiedSplits, t: Moments, rows: pa.Table, usable: Flags
) -> Codes:
    """Place of each row by strata; only usable rows get a place and count for the shares."""
    split = np.full(len(t), _NOWHERE)
    early = np.zeros(len(t), np.bool_) if rule.after_us is None else t < rule.after_us
    split[early] = 0
    shared = np.flatnonzero(usable & ~early & _before_end(spec, t))
    strata = row_hashes(rows, rule.by)[shared]
    first, second = (
        row_hashes(rows, spec.key, salt)[shared] for salt in (rule.salt, f"{rule.salt} again")
    )
    order = np.lexsort((second, first, strata))
    _, start, size = np.unique(strata[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(start, size)
    train, valid, _ = rule.shares
    places = np.full(len(order), 2)
    places[rank < np.repeat(_cuts(size, train + valid), size)] = 1
    places[rank < np.repeat(_cuts(size, train), size)] = 0
    split[shared[order]] = places
    return split


def _cuts(sizes: Codes, share: Fraction) -> Codes:
    """`share` of each size, computed exactly and rounded to whole rows, halves up."""
    counts = {int(n): (2 * share * int(n) + 1) // 2 for n in np.unique(sizes)}
    return np.array([counts[n] for n in sizes.tolist()], dtype=np.int64)


def below(hashes: Hashes, share: Fraction) -> Flags:
    """True for hashes in the lowest `share` of the 2^64 possible values."""
    bound = ceil(share * 2**64)
    if bound >= 2**64:
        return np.ones(len(hashes), np.bool_)
    flags: Flags = hashes < np.uint64(bound)
    return flags


def _kept_apart(spec: DatasetSpec, t: Moments, rows: pa.Table | None) -> tuple[Flags, Flags]:
    """Masks: rows of the evaluation split, and rows of its groups outside its time range."""
    apart, none = spec.evaluation, np.zeros(len(t), np.bool_)
    if apart is None:
        return none, none
    by = spec.evaluation_group
    table = _needed(spec, rows)
    hashes = (
        _group_hashes(spec, table, by, apart.salt)
        if by
        else row_hashes(table, spec.key, apart.salt)
    )
    drawn = below(hashes, exact(apart.share))
    recent = _recent(apart, t)
    return drawn & recent, (drawn & ~recent if by else none)


def _recent(apart: Evaluation, t: Moments) -> Flags:
    until = _NEVER if apart.until_us is None else apart.until_us
    flags: Flags = (t >= apart.after_us) & (t < until)
    return flags


def _on_the_wrong_side(spec: DatasetSpec, t: Moments, split: Codes) -> Flags:
    """Rows whose time is on the wrong side of the bound for the split of their group."""
    rule = spec.splits
    if not isinstance(rule, GroupSplits) or rule.after_us is None:
        return np.zeros(len(t), np.bool_)
    early = t < rule.after_us
    flags: Flags = np.where(split == 0, ~early, early) & (split < len(SPLITS))
    return flags


def _group_hashes(spec: DatasetSpec, rows: pa.Table, by: tuple[str, ...], salt: str) -> Hashes:
    for name in by:
        if name in rows.column_names and (nulls := rows.column(name).null_count):
            raise DeclarationError(
                f"the group column {name} is null in some rows ({nulls})",
                where=f"dataset {spec.name}, splits by {', '.join(by)}",
                fix="leave them out of the spine, or give each row its own group",
            )
    return row_hashes(rows, by, salt)


def _needed(spec: DatasetSpec, rows: pa.Table | None) -> pa.Table:
    if rows is None:
        raise DeclarationError(
            "the splits depend on columns of the rows, but no rows are given",
            where=f"dataset {spec.name}",
            fix="assign(spec, t, reasons, cutoff, frame)",
        )
    return rows


def _reason_codes(reasons: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Code of each row's reason: -1 if it has a label, else an index into the returned names."""
    encoded = pc.dictionary_encode(reasons.combine_chunks())
    codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return codes, encoded.dictionary.to_pylist()


def _check_reasons(spec: DatasetSpec, reasons: set[str]) -> None:
    """Refuse undeclared reasons. `immature` for a mature row means: label read at a wrong cut."""
    if unknown := sorted(reasons - set(spec.left_out)):
        raise DeclarationError(
            f"the training set has rows without a label for undeclared reasons {unknown}",
            where=f"dataset {spec.name}, column label_reason",
            fix="read labels as of label_cuts(spec, t)"
            if IMMATURE in unknown
            else f"add them to left_out, now {sorted(spec.left_out)}, if such rows may be excluded",
        )


def _counts(
    split: npt.NDArray[np.int64], why: npt.NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, dict[str, int]]:
    places = (*PLACES, OUTSIDE)
    counted: dict[str, Counter[str]] = {place: Counter() for place in places}
    excluded = why >= 0
    pairs, numbers = np.unique(
        split[excluded] * len(names) + why[excluded].astype(np.int64), return_counts=True
    )
    for pair, number in zip(pairs.tolist(), numbers.tolist(), strict=True):
        place, reason = divmod(pair, len(names))
        counted[places[place]][names[reason]] += number
    return {place: dict(sorted(counts.items())) for place, counts in counted.items() if counts}


def check_keys(spec: DatasetSpec, table: pa.Table) -> None:
    """Refuse duplicate keys: across splits they leak; in one split their order is undefined.

    `table` has the key columns, `t` and `split`.
    """
    for name in spec.key:
        if pa.types.is_floating(table.schema.field(name).type):  # -0 is 0, as in the content hash
            place = table.column_names.index(name)
            table = table.set_column(place, name, pc.add(table.column(name), 0.0))
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
        f"duplicate keys {place}: {twice.num_rows}",
        where=f"dataset {spec.name}, for example {key} at {worst['t_min']} and {worst['t_max']}",
        fix="give the key another column that distinguishes the rows"
        + (", or split by this key so that it cannot leak" if across else ", or drop one of them"),
    )
