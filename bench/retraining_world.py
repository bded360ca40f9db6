"""Replay of rows with known outcomes, window by window: monitor, decide, retrain.

It does over one frame what the pipeline does over its tables. The monitor evaluates a window when
it closes, by the champion's scores of rows on which it was not trained. A decision to retrain is
carried out at once, in this process, and promotions are watched. No step sees rows that are later
than its own time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.releasing import INPUTS
from headrace.core.clock import DAY, duration
from headrace.core.home import Home
from headrace.datasets import DatasetSpec, Manifest, open_release, release
from headrace.datasets.splits.rolling import Withheld, rolled
from headrace.models import ModelRecord, ModelSpec, challenge, champion, train
from headrace.models.retraining_config import Retraining
from headrace.models.score import predict
from headrace.monitoring import DecisionLedger, MonitorSpec, monitor
from headrace.monitoring.evidence.model import day_number
from headrace.pipeline.rolled_splits import learned_until, split_digest
from headrace.retraining.promotion_watch import Watched, watch_over
from headrace.retraining.request import requested
from headrace.retraining.workflow import RetrainingOutcome, retrain

DEFINITIONS = {"x": "0" * 64}


@dataclass
class FrameWorld:
    """Replayed frame, and the specifications for dataset, model, monitor and retraining.

    `frame` has `t` (int64 microseconds UTC), keys, features, the target (0, 1 or null) and
    `label_reason`.
    """

    home: Home
    frame: pa.Table
    dataset: DatasetSpec
    model: ModelSpec
    monitor: MonitorSpec
    plan: Retraining = field(default_factory=Retraining)
    definitions: Mapping[str, str] = field(default_factory=lambda: DEFINITIONS)

    def release(
        self, as_of: int, withheld: Sequence[Withheld], *, dry_run: bool = False
    ) -> Manifest:
        return release(
            rolled(self.dataset, as_of, self.plan.valid, self.plan.test),
            self.frame.filter(pa.array(self.moments < as_of)),
            inputs=INPUTS,
            definitions=self.definitions,
            mode="declared",
            code_revision="bench",
            store=self.home.store,
            withheld=withheld,
            dry_run=dry_run,
        )

    def rows(
        self,
        first: int,
        until: int,
        known: int,  # noqa: ARG002 - required by the protocol
    ) -> tuple[pa.Table, Mapping[str, str]]:
        """Return the rows in [first, until), also with immature labels, which callers must skip."""
        t = self.moments
        return self.frame.filter(pa.array((t >= first) & (t < until))), self.definitions

    def declared(self) -> str:
        return split_digest(self.dataset)

    @property
    def moments(self) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = self.frame["t"].to_numpy()
        return found

    def begin(self, as_of: int) -> ModelRecord:
        """Train a first model on a release as of `as_of`, and make it the champion."""
        manifest = self.release(as_of, ())
        dataset = open_release(manifest.ref, store=self.home.store)
        record = train(dataset, self.model, self.home)
        challenge(self.home, record, dataset)
        return record


@dataclass
class Lived:
    """Events in one window, which ends at `ends` (microseconds UTC)."""

    ends: int
    action: str
    cause: str
    retrained: RetrainingOutcome | None
    watched: list[Watched]


@dataclass
class _Answers:
    """Scores of each champion for the rows on which it was not trained."""

    world: FrameWorld
    features: Sequence[str]
    segments: Sequence[str]
    known: dict[str, pa.Table] = field(default_factory=dict)

    def until(self, now: int) -> pa.Table | None:
        world = self.world
        record = champion(world.home, world.model.name)
        if record is None:
            return None
        if record.bundle_id not in self.known:
            learned = "recipe" in record.params
            since = learned_until(world.home, record.dataset, tuned=learned)
            frame, definitions = world.rows(since, 2**62, 2**62)
            self.known[record.bundle_id] = pa.table(
                {
                    "t": frame["t"],
                    "score": predict(record, frame, definitions=definitions),
                    "label": frame[record.target].cast(pa.int64()),
                    **{name: frame[name].cast(pa.string()) for name in self.segments},
                    "model": pa.repeat(record.bundle_id, frame.num_rows),
                }
            )
        found = self.known[record.bundle_id]
        t = found["t"].to_numpy()
        return found.filter(pa.array(t + duration(world.monitor.maturity) <= now))


def live(world: FrameWorld, first: int, last: int, *, retrains: bool = True) -> Iterator[Lived]:
    """Replay and yield the windows that close in (first, last] (microseconds UTC)."""
    spec, home = world.monitor, world.home
    ledger = DecisionLedger(home)
    manifest = open_release(f"{world.dataset.name}@latest", store=home.store).manifest
    answers = _Answers(world, manifest.features, [*world.model.segments])
    watched_columns = world.frame.select(["t", *manifest.features])
    anchor, offset = day_number(spec.anchor) * DAY - duration(spec.offset), spec.window_days * DAY
    done: set[str] = set()
    for ends in range(anchor + offset, last + 1, offset):
        if ends <= first:
            continue
        record = champion(home, world.model.name)
        trained_at = None if record is None else learned_until(home, record.dataset, tuned=False)
        # Pass only earlier rows: a monitor must not see the future.
        seen = watched_columns.filter(pa.array(world.moments < ends))
        run = monitor(
            replace(spec, segments=world.model.segments),
            seen,
            answers.until(ends),
            [],
            home,
            ends,
            trained_at=trained_at,
        )
        last_result = run.results[-1]
        outcome = None
        for entry in ledger.entries(spec.name):
            wanted = entry.decision.trigger_id
            if retrains and wanted is not None and wanted not in done:
                done.add(wanted)
                outcome = retrain(world, requested(spec, ledger, wanted), clock=lambda: ends)  # noqa: B023
        watched = watch_over(world, clock=lambda: ends)  # noqa: B023
        yield Lived(
            ends, last_result.decision.action, last_result.attribution.cause, outcome, watched
        )
