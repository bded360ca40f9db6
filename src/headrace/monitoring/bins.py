"""Frozen bins: where a column's histogram is cut. Chosen once from its first days, never again.

Numbers are cut at quantiles of those days, and beyond them at growing steps, so that a season that
leaves the first month's range still has a shape. The outermost bins lie far outside of it.
Strings keep a bin for each of the most frequent levels, one for the rarer ones and one for
levels that were unknown when the bins were frozen.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import DeclarationError

Kind = Literal["integer", "real", "level"]
Numbers = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

QUANTILES = 16
LEVELS = 32
KNOWN = 20_000  # of a column with more levels than this only the most frequent are known
TAIL_STEPS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
WIDEST = 2**62  # keeps the tail edges of integers inside int64


@dataclass(frozen=True)
class Bins:
    """The bins of one column.

    `edges` cut numbers: bin i holds `edges[i-1] <= v < edges[i]`. `levels` have a bin each, then
    comes one for `rare` levels and one for unseen ones. `frozen_until` is the first epoch day (UTC)
    that had no say in the bins.
    """

    column: str
    kind: Kind
    frozen_until: int
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return len(self.levels) + 2 if self.kind == "level" else len(self.edges) + 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Bins":
        lists = {name: tuple(value[name]) for name in ("edges", "levels", "rare")}
        return cls(value["column"], value["kind"], value["frozen_until"], **lists)


def kind_of(field: pa.Field) -> Kind:
    """How a column of this type is profiled: booleans and timestamps count as integers."""
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_timestamp(kind):
        return "integer"
    if pa.types.is_floating(kind):
        return "real"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "level"
    raise DeclarationError(
        f"a column of type {kind} cannot be profiled",
        where=f"column {field.name}",
        fix="leave it out of the monitor's columns, or derive a number or a string from it",
    )


def numbers(column: pa.Array) -> tuple[Numbers, Mask]:
    """The values (int64 or float64, anything where invalid) and which of them are valid.

    NaN is null, as everywhere; -0.0 becomes +0.0.
    """
    if not pa.types.is_floating(column.type):
        whole = column.cast(pa.int64()) if column.type != pa.int64() else column
        return whole.fill_null(0).to_numpy(zero_copy_only=False), valid(column)
    real = column.cast(pa.float64()) if column.type != pa.float64() else column
    values = real.fill_null(np.nan).to_numpy(zero_copy_only=False) + 0.0
    return values, ~np.isnan(values)


def valid(column: pa.Array) -> Mask:
    if column.null_count == 0:
        return np.ones(len(column), dtype=np.bool_)
    mask: Mask = pc.is_valid(column).to_numpy(zero_copy_only=False)
    return mask


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece; dictionaries become plain values only where they are numbers."""
    array = column.combine_chunks()
    if isinstance(
        array, pa.ChunkedArray
    ):  # what arrow returns for several chunks differs by version
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(array.type) and not _is_text(array.type.value_type):
        return array.dictionary_decode()
    return array


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def freeze(field: pa.Field, column: pa.ChunkedArray, frozen_until: int) -> Bins:
    """The bins of one column from the rows of its first days."""
    kind = kind_of(field)
    array = one_array(column)
    if kind == "level":
        levels, rare = _levels(array)
        return Bins(field.name, kind, frozen_until, levels=levels, rare=rare)
    values, present = numbers(array)
    return Bins(field.name, kind, frozen_until, edges=_edges(values[present]))


def _levels(array: pa.Array) -> tuple[tuple[str, ...], tuple[str, ...]]:
    counted = pc.value_counts(array.drop_null()).to_pylist()
    order = sorted(counted, key=lambda entry: (-entry["counts"], entry["values"]))
    names = [str(entry["values"]) for entry in order[:KNOWN]]
    return tuple(names[:LEVELS]), tuple(sorted(names[LEVELS:]))


def _edges(values: Numbers) -> tuple[float, ...]:
    finite = values if values.dtype == np.int64 else values[np.isfinite(values)]
    if len(finite) == 0:
        return ()
    inner = np.unique(finite)
    if len(inner) > QUANTILES + 1:
        steps = np.linspace(0.0, 1.0, QUANTILES + 1)
        inner = np.unique(np.quantile(finite, steps, method="lower"))
    return tuple(sorted({*inner.tolist(), *_tails(inner)}))


def _tails(inner: Numbers) -> list[float]:
    """Growing steps on both sides of the range seen; a single value gets steps of its own size."""
    low, high = inner[0].item(), inner[-1].item()
    span = high - low or abs(high) or 1
    if isinstance(low, int):
        steps = [max(1, int(span * step)) for step in TAIL_STEPS]
        above = [high + 1 + step for step in steps] + [high + 1]
        return [edge for edge in [*above, *(low - step for step in steps)] if abs(edge) < WIDEST]
    beyond = np.nextafter(high, np.inf).item()
    return [beyond, *(beyond + span * s for s in TAIL_STEPS), *(low - span * s for s in TAIL_STEPS)]


def codes(bins: Bins, column: pa.Array) -> npt.NDArray[np.int64]:
    """The bin of every value (int64); nulls and NaN get `bins.size`."""
    if bins.kind == "level":
        return _level_codes(bins, column)
    values, present = numbers(column)
    return number_codes(bins, values, present)


def number_codes(bins: Bins, values: Numbers, present: Mask) -> npt.NDArray[np.int64]:
    """As `codes`, of values that `numbers` has taken out of Arrow already."""
    edges = np.array(bins.edges, dtype=values.dtype)
    found: npt.NDArray[np.int64] = np.searchsorted(edges, values, side="right")
    if not present.all():
        found[~present] = bins.size
    return found


def _level_codes(bins: Bins, column: pa.Array) -> npt.NDArray[np.int64]:
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    place = {level: at for at, level in enumerate(bins.levels)}
    place.update(dict.fromkeys(bins.rare, len(bins.levels)))
    unseen = len(bins.levels) + 1
    table = [bins.size if v is None else place.get(v, unseen) for v in coded.dictionary.to_pylist()]
    lookup = np.array([*table, bins.size], dtype=np.int64)
    # a null index points at the entry after the last one, which is the bin of nulls
    at = coded.indices.cast(pa.int64()).fill_null(len(table)).to_numpy(zero_copy_only=False)
    result: npt.NDArray[np.int64] = lookup[at]
    return result
