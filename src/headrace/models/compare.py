"""Comparison of challenger and champion on rows on which neither of them was trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError
from headrace.models.evaluate import THIN, moments, truth
from headrace.models.metrics import Floats, day_block_interval
from headrace.models.record import ModelRecord
from headrace.models.score import predict
from headrace.models.tasks import BINARY, PredictionTask, label_place

CONFIDENCE = 0.95


@dataclass(frozen=True)
class ModelComparison:
    """Difference in mean loss, challenger minus champion; negative if the challenger is better.

    Attributes:
        rows, days: number of compared rows, and number of UTC days on which they lie.
        challenger, champion: mean loss of the models' task.
        interval: bootstrap interval of the difference, resampled by UTC day. With a single day, the
            interval has no width and proves nothing.
        segments: {column: [{"value", "rows", "challenger", "champion", "difference", "low", "high",
            "worse"}]}, for values with enough rows. The confidence level applies to all segments
            together (Bonferroni).
        task: task of the models, which says what the loss is.
    """

    rows: int
    days: int
    challenger: float
    champion: float
    interval: Mapping[str, Any]
    segments: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    task: PredictionTask = BINARY

    @property
    def worse(self) -> list[str]:
        """One sentence for each segment that became significantly worse."""
        return [
            f"{column} {row['value']}: {row['difference']:+.4f} [{row['low']:+.4f}, "
            f"{row['high']:+.4f}] over {row['rows']:,} rows"
            for column, rows in self.segments.items()
            for row in rows
            if row["worse"]
        ]

    @property
    def summary(self) -> str:
        interval = self.interval
        return f"{interval['difference']:+.4f} [{interval['low']:+.4f}, {interval['high']:+.4f}]"

    def margin(self, declared: float) -> float:
        """Return a margin of a declaration in units of the loss."""
        return self.task.margin(declared, self.champion)

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "days": self.days,
            "challenger": self.challenger,
            "champion": self.champion,
            "interval": dict(self.interval),
            "segments": {name: list(rows) for name, rows in self.segments.items()},
            **({} if self.task is BINARY else {"metric": self.task.title}),
        }


def compare(
    challenger: ModelRecord,
    champion: ModelRecord,
    table: pa.Table,
    definitions: Mapping[str, str],
    *,
    rounds: int = 2_000,
    seed: int = 7,
    segment_margin: float = 0.0,
    looks: int = 1,
) -> ModelComparison:
    """Compare two models on the rows of `table`, which neither was trained or tuned on.

    A segment is worse if even the lower end of its interval is above `segment_margin`. `looks` is
    the number of times that the comparison is repeated as rows arrive. The interval is widened so
    that its confidence level applies to all repetitions together (Bonferroni).

    Raises:
        DeclarationError: there are no rows, a definition behind a model's features changed, the
            models have different tasks, or a label does not fit the challenger. A class that only
            the champion does not know counts as impossible to the champion.
    """
    task = challenger.task
    if (task.name, task.loss) != (champion.task.name, champion.task.loss):
        raise DeclarationError(
            f"{challenger.ref} and {champion.ref} have different tasks or losses",
            where=f"model {challenger.name}",
            fix="give the model of the new task another name, or promote it by hand",
        )
    if not table.num_rows:
        raise DeclarationError("there are no rows to compare on")
    labels, t = table.column(challenger.target), moments(table)
    outcomes = (
        truth(challenger, table),
        champion.task.observed_leniently(labels, label_place(champion.name, champion.target)),
    )
    new, old = (
        model.task.losses(y, predict(model, table, definitions=definitions))
        for model, y in zip((challenger, champion), outcomes, strict=True)
    )
    margin = task.margin(segment_margin, float(old.mean()))
    level = 1 - (1 - CONFIDENCE) / looks
    interval = day_block_interval(t, new - old, rounds, seed, level)
    return ModelComparison(
        rows=len(new),
        days=int(interval["blocks"]),
        challenger=float(new.mean()),
        champion=float(old.mean()),
        interval=dict(interval),
        segments=_segments(challenger.segments, table, t, (new, old), (rounds, seed, margin)),
        task=task,
    )


def not_worse(comparison: ModelComparison, margin: float, *, tainted: bool) -> tuple[bool, str]:
    """Return True if the challenger is not worse overall, and a sentence with the numbers.

    The challenger is not worse if the upper end of the interval is at most `margin`, which is in
    the units of `ModelSpec.margin`. If the
    champion was trained on a recalled batch (`tainted`), the burden of proof is reversed: it is
    enough that the lower end is at most `margin`.
    """
    allowed = comparison.margin(margin)
    task = comparison.task
    reason = (
        f"{task.title} against the {'tainted ' if tainted else ''}champion {comparison.summary}"
    )
    reason = (
        f"{reason}, margin {allowed:+.4f}, over {comparison.rows:,} rows of {comparison.days} days"
    )
    if comparison.days < 2:
        return False, f"{reason}; a single day does not say how days differ"
    if comparison.days < task.least_days:
        return False, f"{reason}; promotion needs {task.least_days} days: widen the test split"
    return comparison.interval["low" if tainted else "high"] <= allowed, reason  # False for NaN


def _segments(
    columns: Sequence[str],
    table: pa.Table,
    t: npt.NDArray[np.int64],
    loss: tuple[Floats, Floats],
    how: tuple[int, int, float],
) -> dict[str, list[dict[str, Any]]]:
    rounds, seed, margin = how
    new, old = loss
    parts = {name: _parts(table.column(name)) for name in columns}
    level = 1 - (1 - CONFIDENCE) / max(sum(map(len, parts.values())), 1)
    by_column: dict[str, list[dict[str, Any]]] = {}
    for name, values in parts.items():
        by_column[name] = []
        for value, at in values:
            interval = day_block_interval(t[at], (new - old)[at], rounds, seed, level)
            means = {"challenger": float(new[at].mean()), "champion": float(old[at].mean())}
            clear = interval["blocks"] > 1 and interval["low"] > margin
            worse = {"value": value, "rows": len(at), "worse": clear}
            by_column[name].append({**interval, **means, **worse})
    return by_column


def _parts(column: pa.ChunkedArray) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Return (value as text, row numbers) for each value that has enough rows for a comparison."""
    encoded = pc.dictionary_encode(column.cast(pa.string()).combine_chunks())
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    values = encoded.dictionary.to_pylist()
    places = [(value, np.flatnonzero(codes == n)) for n, value in enumerate(values)]
    return sorted((value, at) for value, at in places if len(at) >= THIN)


def mix_distance(sample: pa.ChunkedArray, population: pa.ChunkedArray) -> float:
    """Return the total variation distance of two columns' values: 0 if equal, 1 if disjoint."""
    shares: list[dict[Any, float]] = []
    for column in (sample, population):
        counts = pc.value_counts(column.cast(pa.string())).to_pylist()
        total = max(len(column), 1)
        shares.append({count["values"]: count["counts"] / total for count in counts})
    first, second = shares
    values = {*first, *second}
    return sum((abs(first.get(v, 0.0) - second.get(v, 0.0)) for v in values), 0.0) / 2
