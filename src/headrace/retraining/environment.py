"""What a retraining needs of a pipeline: its declarations, releases of it, and rows to judge by."""

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
from headrace.pipeline.rolled_splits import declared

if TYPE_CHECKING:
    from headrace.datasets import Manifest


class World(Protocol):
    """A pipeline as a retraining sees it; studies bring worlds of their own."""

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
        """The dataset rolled on to `as_of` (us); the same again is the same release."""

    def rows(self, first: int, until: int, known: int) -> tuple[pa.Table, Mapping[str, str]]:
        """All rows predicted in [first, until), us, with the label as known at `known`.

        Columns as of the release, and `label_reason`; and the definitions of their views.
        """

    def declared(self) -> str:
        """A digest of the rule and the bounds that the dataset is declared with."""


@dataclass(frozen=True)
class PipelineWorld:
    """A declared pipeline over its published tables, which `context` reads once."""

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

    def rows(self, first: int, until: int, known: int) -> tuple[pa.Table, Mapping[str, str]]:
        from headrace.pipeline.build import feature_frame
        from headrace.pipeline.monitor_inputs import known_rows

        self.context.refresh()
        frame = feature_frame(self.context)
        t = frame["t"].to_numpy()
        frame = frame.filter(pa.array((t >= first) & (t < until)))
        return known_rows(self.context, frame, known), self.context.definitions

    def declared(self) -> str:
        return declared(self.pipeline.dataset)


def labelled(frame: pa.Table, target: str, matures_after: int, known: int) -> pa.Table:
    """The rows whose label is mature at `known` (us), by the clock, and there."""
    t = frame["t"].cast(pa.int64()).to_numpy()
    mature = pa.array(t + matures_after <= known)
    there = pa.compute.and_(mature, pa.compute.is_valid(frame[target]))
    return frame.filter(there)


def unseen(frame: pa.Table, spans: Sequence[Withheld]) -> pa.Table:
    """The rows outside of the spans."""
    from headrace.datasets.splits.rolling import inside

    t = frame["t"].cast(pa.int64()).to_numpy()
    return frame.filter(pa.array(np.logical_not(inside(spans, t))))
