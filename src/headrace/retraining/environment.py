"""Environment of a retraining: the pipeline's declarations, releases and evaluation rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """Operations on a pipeline that a retraining needs; benchmarks have other implementations."""

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
        """Release the dataset with splits that end at `as_of` (us), without the withheld spans.

        A repeated call returns the same release.
        """

    def rows(self, first: int, until: int, labels_at: int) -> tuple[pa.Table, Mapping[str, str]]:
        """Return the rows with a prediction time in [first, until), with labels as of `labels_at`.

        All times are in us. The rows have the columns of a release and `label_reason`. The second
        value is {view: definition hash}.
        """

    def declared(self) -> str:
        """Return the digest of the dataset's declared split rule and bounds."""


@dataclass(frozen=True)
class PipelineWorld:
    """Environment of a declared pipeline with its published tables."""

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
        pipeline = self.pipeline.with_dataset(dataset)
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
    """Return the rows whose label is mature at `labels_at` and not null; times are in us."""
    t = frame["t"].cast(pa.int64()).to_numpy()
    mature = pa.array(t + matures_after <= labels_at)
    return frame.filter(pa.compute.and_(mature, pa.compute.is_valid(frame[target])))


def unseen(frame: pa.Table, spans: Sequence[Withheld]) -> pa.Table:
    """Return the rows whose prediction time is outside the spans."""
    from headrace.datasets.splits.rolling import inside

    t = frame["t"].cast(pa.int64()).to_numpy()
    return frame.filter(pa.array(np.logical_not(inside(spans, t))))
