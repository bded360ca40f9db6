"""Environment of a retraining: a pipeline's declarations, its releases, rows to evaluate on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from headrace.core.home import Home
from headrace.datasets.splits.rolling import Withheld, rolled
from headrace.models.retraining_config import Retraining
from headrace.models.spec import ModelSpec
from headrace.monitoring.spec import MonitorSpec
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.rolled_splits import split_digest

if TYPE_CHECKING:
    from headrace.datasets import Manifest


class World(Protocol):
    """Pipeline as a retraining uses it; studies have implementations of their own."""

    @property
    def home(self) -> Home: ...

    @property
    def monitor(self) -> MonitorSpec: ...

    @property
    def model(self) -> ModelSpec: ...

    @property
    def plan(self) -> Retraining: ...

    def release(
        self, as_of: int, withheld: Sequence[Withheld], *, dry_run: bool = False
    ) -> "Manifest":
        """Release the dataset with splits rolled to `as_of` (us); a repeat is the same release."""

    def rows(self, first: int, until: int, labels_at: int) -> tuple[pa.Table, Mapping[str, str]]:
        """Return the rows predicted in [first, until), us, with labels as of `labels_at`.

        They have the columns of the release and `label_reason`. Returned beside them are the
        definition hashes of their views.
        """

    def declared(self) -> str:
        """Return a digest of the split rule and the bounds that the dataset declares."""


@dataclass(frozen=True)
class PipelineWorld:
    """Declared pipeline over its published tables; `context` reads each table once."""

    pipeline: Pipeline
    home: Home
    context: BuildContext

    @property
    def monitor(self) -> MonitorSpec:
        return self.pipeline.monitor

    @property
    def model(self) -> ModelSpec:
        return self.pipeline.model

    @property
    def plan(self) -> Retraining:
        return self.pipeline.retraining

    def release(
        self, as_of: int, withheld: Sequence[Withheld], *, dry_run: bool = False
    ) -> "Manifest":
        from headrace.pipeline.build import pinned

        dataset = rolled(self.pipeline.dataset, as_of, self.plan.valid, self.plan.test)
        pipeline = replace(self.pipeline, dataset=dataset)
        return pinned(pipeline, self.home, withheld, self.context, dry_run=dry_run)

    def rows(self, first: int, until: int, labels_at: int) -> tuple[pa.Table, Mapping[str, str]]:
        from headrace.pipeline.build import feature_frame
        from headrace.pipeline.monitor_inputs import known_rows

        self.context.refresh()
        frame = feature_frame(self.context)
        t = frame["t"].to_numpy()
        frame = frame.filter(pa.array((t >= first) & (t < until)))
        return known_rows(self.context, frame, labels_at), self.context.definitions

    def declared(self) -> str:
        return split_digest(self.pipeline.dataset)


def labelled(frame: pa.Table, target: str, matures_after: int, labels_at: int) -> pa.Table:
    """Return the rows whose label is mature at `labels_at` (us) and not null."""
    t = frame["t"].cast(pa.int64()).to_numpy()
    mature = pa.array(t + matures_after <= labels_at)
    return frame.filter(pa.compute.and_(mature, pa.compute.is_valid(frame[target])))


def unseen(frame: pa.Table, spans: Sequence[Withheld]) -> pa.Table:
    """Return the rows outside of the spans."""
    from headrace.datasets.splits.rolling import inside

    t = frame["t"].cast(pa.int64()).to_numpy()
    return frame.filter(pa.array(np.logical_not(inside(spans, t))))
