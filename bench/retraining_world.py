"""A world of rows whose truth is known, lived through window by window: watch, decide, retrain.

What the pipeline does over its tables, done over one frame: the monitor judges a window when it
closes, by the champion's answers to rows it did not learn from; a decision that retrains does so
at once, in process; promotions are watched. Nothing sees a later row than the moment it lives in.
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
    """`frame`: `t` (int64 us), keys, features, the target (0, 1, null) and `label_reason`."""

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
        known: int,  # noqa: ARG002 - as the protocol says
    ) -> tuple[pa.Table, Mapping[str, str]]:
        """Labels that are not mature yet are there: whoever asks looks at the clock."""
        t = self.moments
        return self.frame.filter(pa.array((t >= first) & (t < until))), self.definitions

    def declared(self) -> str:
        return split_digest(self.dataset)

    @property
    def moments(self) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = self.frame["t"].to_numpy()
        return found

    def begin(self, as_of: int) -> ModelRecord:
        """The first model, of a release as of a moment, takes charge."""
        manifest = self.release(as_of, ())
        dataset = open_release(manifest.ref, store=self.home.store)
        record = train(dataset, self.model, self.home)
        challenge(self.home, record, dataset)
        return record


@dataclass
class Lived:
    """What happened in one window. `ends` is its end, us."""

    ends: int
    action: str
    cause: str
    retrained: RetrainingOutcome | None
    watched: list[Watched]


@dataclass
class _Answers:
    """Of each champion, to the rows that it did not learn from, until the next took charge."""

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
    """Window after window that closes in (first, last], us."""
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
        # only what was there by then: a monitor may not look ahead
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
