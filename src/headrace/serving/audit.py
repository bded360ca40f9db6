"""The audit of a served log: every vector made again by training, and compared by its bytes."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from headrace.errors import StateError
from headrace.features.frame import training_frame
from headrace.features.spec import output_columns
from headrace.files import canonical_json
from headrace.serving.log import ServedLog
from headrace.serving.vectors import FeatureService, Frontier, cells

Cause: TypeAlias = Literal["definition mismatch", "late commit", "value", "frontier gone"]


@dataclass(frozen=True)
class Difference:
    """A logged vector that training would not have made.

    Attributes:
        sequence: of the row in the log.
        cause: "definition mismatch": the features have another meaning now; nothing was computed.
            "late commit": the tables of then give the logged bytes and those of now do not: rows
            usable at t were published after the answer. "value": the tables of then give other
            bytes too. "frontier gone": they have expired, so the two cannot be told apart.
        features: whose bytes differ.
    """

    sequence: int
    cause: Cause
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditReport:
    """`compared` rows of the log, and those of them that differ."""

    compared: int
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        causes = dict(Counter(one.cause for one in self.differences))
        return {"compared": self.compared, "different": len(self.differences), "causes": causes}


def audit(log: ServedLog, service: FeatureService) -> AuditReport:
    """Compare every logged vector with `training_frame` over what is published now.

    Of `service` only the declarations and the published tables are used, nothing it has loaded.
    """
    compared, found = 0, []
    for part in log.parts():
        rows = part.to_pylist()
        compared += len(rows)
        same = [row for row in rows if row["definition"] == service.definition]
        other = [row for row in rows if row["definition"] != service.definition]
        found += [Difference(row["sequence"], "definition mismatch") for row in other]
        found += _differences(same, service)
    return AuditReport(compared, tuple(sorted(found, key=lambda one: one.sequence)))


def _differences(rows: Sequence[dict[str, Any]], service: FeatureService) -> list[Difference]:
    now = _other_features(rows, service, service.frontier()) if rows else {}
    moved = [row for row in rows if now[row["sequence"]]]
    found = []
    for frontier in dict.fromkeys(row["frontier"] for row in moved):
        asked = [row for row in moved if row["frontier"] == frontier]
        try:
            then = _other_features(asked, service, json.loads(frontier))
            causes: dict[int, Cause] = {n: "value" if f else "late commit" for n, f in then.items()}
        except StateError:
            causes = dict.fromkeys((row["sequence"] for row in asked), "frontier gone")
        found += [Difference(number, cause, now[number]) for number, cause in causes.items()]
    return found


def _other_features(
    rows: Sequence[dict[str, Any]], service: FeatureService, frontier: Frontier
) -> dict[int, tuple[str, ...]]:
    """By sequence, the features whose bytes over these snapshots are not the logged ones."""
    spine, history = _spine(rows, service.schema.types), service.history(frontier)
    frame = training_frame(spine, service.views, history, service.contracts, service.mode)
    fresh = cells(frame.select(output_columns(service.views)))
    return {
        row["sequence"]: tuple(
            name
            for name, value in made.items()
            if canonical_json(value) != canonical_json(json.loads(row["vector"])[name])
        )
        for row, made in zip(rows, fresh, strict=True)
    }


def _spine(rows: Sequence[dict[str, Any]], types: Mapping[str, pa.DataType]) -> pa.Table:
    """The logged requests, typed as they were; logged times are int microseconds."""
    requests = [{**json.loads(row["request"]), "t": row["t"]} for row in rows]
    return pa.table(
        {
            name: pa.array([r[name] for r in requests], _stored(kind)).cast(kind)
            for name, kind in types.items()
        }
    )


def _stored(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind
