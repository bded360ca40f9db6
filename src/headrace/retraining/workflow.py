"""Workflow of a retraining: release, train, compare, then promote and watch, or keep the champion.

The result of each step is recorded in the decision ledger before the next step begins, and
repeating a step changes nothing. So a retraining that was killed and is restarted with the same
trigger resumes where it stopped. A lock lets only one retraining of a pipeline run at a time.
"""

import fcntl
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.core import files
from headrace.core.clock import duration, iso, now_us
from headrace.core.errors import DeclarationError, HeadraceError, StateError
from headrace.core.home import Home
from headrace.core.progress import report
from headrace.monitoring.decisions.ledger import DecisionLedger, StepName, newest_entries
from headrace.monitoring.evidence.model import DISTRUSTED
from headrace.pipeline.rolled_splits import learned_until
from headrace.retraining.environment import World
from headrace.retraining.request import Request, faulty_spans

if TYPE_CHECKING:
    from headrace.models import ModelRecord
    from headrace.models.compare import ModelComparison

SETTLED = frozenset({"kept", "failed", "confirmed", "rolled_back"})
ENDS = SETTLED | {"watching"}


@dataclass(frozen=True)
class RetrainingOutcome:
    """Outcome of a retraining.

    `steps` is {step: its recorded details}. `began` is False if the retraining had already ended
    before this call.
    """

    trigger_id: str
    steps: Mapping[str, Mapping[str, Any]]
    began: bool = True

    @property
    def state(self) -> str:
        return list(self.steps)[-1] if self.steps else "asked for"

    @property
    def summary(self) -> str:
        for step in ("rolled_back", "confirmed", "failed", "kept", "promoted"):
            if step in self.steps:
                return f"{step.replace('_', ' ')}: {self.steps[step].get('because', '')}"
        return self.state

    def to_json(self) -> dict[str, Any]:
        return {
            "trigger_id": self.trigger_id,
            "state": self.state,
            "says": self.summary,
            "steps": {name: dict(detail) for name, detail in self.steps.items()},
        }


def retrain(
    world: World, request: Request, *, clock: Callable[[], int] = now_us
) -> RetrainingOutcome:
    """Run a retraining, or resume it; do nothing if it has already ended.

    Raises:
        HeadraceError, or any other error that stopped this attempt. After the last attempt that the
        plan allows, the retraining is recorded as failed, unless its challenger was already
        promoted; then the promotion is watched.
    """
    ledger = DecisionLedger(world.home)
    with retraining_lock(world.home, world.monitor.name):
        work = _Work(world, request, ledger, clock)
        if work.ended:
            return replace(work.outcome(), began=False)
        attempt = ledger.begin_attempt(world.monitor.name, request.trigger_id, clock())
        if attempt > world.plan.attempts and not work.is_promoted:
            work.once("failed", lambda: {"because": f"killed in each of {attempt - 1} attempts"})
            return work.outcome()
        try:
            work.carry()
        except Exception as error:
            lasting = isinstance(error, DeclarationError)  # another attempt would fail as well
            if (lasting or attempt == world.plan.attempts) and not work.is_promoted:
                why = error.what if isinstance(error, HeadraceError) else str(error)
                because = f"attempt {attempt}: {type(error).__name__}: {why}"
                work.once("failed", lambda: {"because": because})
            raise
        return work.outcome()


def plan_of(world: World, request: Request) -> dict[str, Any]:
    """Return the release and the candidates that a retraining would use, without writing them."""
    ledger = DecisionLedger(world.home)
    spans = faulty_spans(world.monitor, ledger.entries(world.monitor.name), request.as_of)
    manifest = world.release(request.as_of, spans, dry_run=True)
    return {
        "trigger_id": request.trigger_id,
        **request.to_json(),
        "dataset": manifest.ref,
        "change": manifest.change,
        "rows": manifest.rows,
        "withheld": [span.to_json() for span in spans],
        "candidates": [recipe.description for recipe in _recipes(world, request)],
    }


def retraining_lock(home: Home, name: str) -> AbstractContextManager[None]:
    """Lock a pipeline's retraining on this machine; the lock of a dead process is released."""
    return files.exclusive_lock(home.root / "retraining" / f"{name}.lock")


def at_work(home: Home, name: str) -> bool:
    """Return True if a process on this machine is retraining this pipeline."""
    path = home.root / "retraining" / f"{name}.lock"
    if not path.exists():
        return False
    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class _Work:
    """One attempt of a retraining: `recorded` has the completed steps, `carry` runs the others."""

    def __init__(
        self, world: World, request: Request, ledger: DecisionLedger, clock: Callable[[], int]
    ) -> None:
        self.world, self.request, self.ledger, self.clock = world, request, ledger, clock
        self.name = world.monitor.name
        self.recorded: dict[str, dict[str, Any]] = {
            step.step: step.detail for step in ledger.steps(self.name, request.trigger_id)
        }

    @property
    def ended(self) -> bool:
        return not ENDS.isdisjoint(self.recorded)

    @property
    def is_promoted(self) -> bool:
        """True if the challenger was promoted, even if the promotion is not recorded yet."""
        from headrace.models import pointer

        if "promoted" in self.recorded or not self.recorded.get("compared", {}).get("promote"):
            return "promoted" in self.recorded
        now = pointer(self.world.home, self.world.model.name)
        return now is not None and now.bundle_id == self.recorded["trained"]["bundle"]

    def outcome(self) -> RetrainingOutcome:
        return RetrainingOutcome(self.request.trigger_id, dict(self.recorded))

    def once(self, step: StepName, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Run and record a step; if it is recorded already, return its details."""
        if step not in self.recorded:
            wall, cpu = time.perf_counter(), time.process_time()
            detail = work()
            detail["seconds"] = round(time.perf_counter() - wall, 3)
            detail["cpu_s"] = round(time.process_time() - cpu, 3)
            self.ledger.record_step(self.name, self.request.trigger_id, step, detail, self.clock())
            self.recorded[step] = detail
            report("retraining", len(self.recorded), 5, step)
        return self.recorded[step]

    def carry(self) -> None:
        self.once("started", self.request.to_json)
        if self._end_if_faulty():
            return
        self.once("released", self._release)
        self.once("trained", self._train)
        verdict = self.once("compared", self._compare)
        if not verdict["promote"]:
            self.once("kept", lambda: {"because": verdict["because"]})
            return
        if self._end_if_faulty():
            return
        self.once("promoted", self._promote)
        self.once("watching", self._watch)

    def _end_if_faulty(self) -> bool:
        """End the retraining if its window is now known to be faulty; return True if so.

        If the challenger is already the champion, nothing is done: the promotion watch decides.
        """
        if self.request.window is None or self.is_promoted:
            return False
        entry = newest_entries(self.ledger.entries(self.name)).get(self.request.window[1])
        doubts = [] if entry is None else [e for e in entry.evidence if e.kind in DISTRUSTED]
        if doubts:
            why = f"the triggering window is now known to be faulty: {doubts[0].sentence}"
            self.once("kept", lambda: {"because": why})
        return bool(doubts)

    def _release(self) -> dict[str, Any]:
        as_of = self.request.as_of
        spans = faulty_spans(self.world.monitor, self.ledger.entries(self.name), as_of)
        manifest = self.world.release(as_of, spans)
        return {
            "dataset": manifest.ref,
            "content_hash": manifest.content_hash,
            "as_of": iso(as_of),
            "declared": self.world.declared(),
            "valid": self.world.plan.valid,
            "test": self.world.plan.test,
            "rows": {name: split.rows for name, split in manifest.splits.items()},
            "withheld": [span.to_json() for span in spans],
            "withheld_rows": sum(
                split.left_out.get("withheld", 0) for split in manifest.splits.values()
            ),
            "reasons": list(manifest.reasons),
        }

    def _train(self) -> dict[str, Any]:
        from headrace.models.train import choose, train

        dataset = self._dataset()
        candidates = choose(dataset, self.world.model, _recipes(self.world, self.request))
        if not candidates:
            raise DeclarationError(
                f"{dataset.ref} has no candidate training rows with both outcomes",
                where=f"model {self.world.model.name}",
                fix="wait until more labels are mature, or exclude fewer rows",
            )
        record = train(dataset, self.world.model, self.world.home, candidates[0].recipe)
        return {
            "model": record.ref,
            "bundle": record.bundle_id,
            "recipe": candidates[0].recipe.description,
            "rows": candidates[0].rows,
            "candidates": [
                {
                    "recipe": candidate.recipe.description,
                    "rows": candidate.rows,
                    "valid_loss": round(candidate.loss, 6),
                }
                for candidate in candidates
            ],
        }

    def _compare(self) -> dict[str, Any]:
        from headrace.models import load_record, pointer
        from headrace.models.compare import compare

        home, model = self.world.home, self.world.model
        challenger = load_record(home, model.name, self.recorded["trained"]["bundle"])
        current = pointer(home, model.name)
        if current is None:
            return {"champion": None, "promote": True, "because": "first model"}
        base = {"champion": current.bundle_id}
        if current.bundle_id == challenger.bundle_id:
            return {**base, "promote": False, "because": "it is the champion already"}
        champion = load_record(home, model.name, current.bundle_id)
        dataset = self._dataset()
        try:
            since = max(learned_until(home, record.dataset) for record in (challenger, champion))
            rows = dataset.split("test").arrow
            rows = rows.filter(pa.array(rows["t"].cast(pa.int64()).to_numpy() >= since))
            comparison = compare(
                challenger,
                champion,
                rows,
                dataset.manifest.definitions,
                rounds=model.bootstrap,
                seed=model.seed,
                segment_margin=self.world.plan.segment_margin,
            )
        except (DeclarationError, StateError) as error:
            why = f"not comparable with the champion: {error.what}"
            return {**base, "promote": False, "because": why}
        better, because = verdict(comparison, model.margin, tainted=_tainted(home, champion))
        return {
            **base,
            "promote": better,
            "because": because,
            "comparison": comparison.to_json(),
            "frozen": {
                "dataset": dataset.ref,
                "split": "test",
                "row_sum": dataset.manifest.splits["test"].row_sum,
                "from": iso(since),
                "until": iso(self.request.as_of),
            },
            "representative": self._mix(rows, since),
        }

    def _mix(self, rows: pa.Table, since: int) -> dict[str, Any]:
        """Compare the segment mix of the test rows with that of all predictions since `since`."""
        from headrace.models.compare import mix_distance

        frame, _ = self.world.rows(since, self.request.as_of, self.request.as_of)
        columns = [segment for segment in self._segments() if segment in frame.column_names]
        return {
            "rows": rows.num_rows,
            "production_rows": frame.num_rows,
            "mix_distance": {
                name: round(mix_distance(rows[name], frame[name]), 4) for name in columns
            },
        }

    def _segments(self) -> tuple[str, ...]:
        from headrace.models import load_record

        name, bundle = self.world.model.name, self.recorded["trained"]["bundle"]
        return load_record(self.world.home, name, bundle).segments

    def _promote(self) -> dict[str, Any]:
        from headrace.models import history, load_record, pointer, promote

        home, name = self.world.home, self.world.model.name
        challenger = load_record(home, name, self.recorded["trained"]["bundle"])
        compared = self.recorded["compared"]
        current = pointer(home, name)
        now = None if current is None else current.bundle_id
        if now not in {compared["champion"], challenger.bundle_id}:
            raise DeclarationError(
                f"{name}@{str(now)[:12]} became champion after this model was compared",
                where=f"retraining {self.request.trigger_id}",
                fix="retrain again, against the current champion",
            )
        because = f"retraining {self.request.trigger_id[:12]}: {compared['because']}"
        past = {(promotion.bundle_id, promotion.reason) for promotion in history(home, name)}
        if now != challenger.bundle_id and (challenger.bundle_id, because) in past:
            raise DeclarationError(
                "the challenger was promoted, but a person replaced it as champion before the"
                " promotion was recorded",
                where=f"retraining {self.request.trigger_id}",
                fix="retrain again if this model should be the champion",
            )
        promote(home, challenger, because)
        return {"model": challenger.ref, "bundle": challenger.bundle_id,
                "previous": compared["champion"], "because": compared["because"]}  # fmt: skip

    def _watch(self) -> dict[str, Any]:
        promoted = self.recorded["promoted"]
        return {
            "bundle": promoted["bundle"],
            "previous": promoted["previous"],
            "from": iso(self.request.as_of),
            "windows": self.world.plan.watch,
        }

    def _dataset(self) -> Any:  # noqa: ANN401 - loads with the function
        from headrace.datasets import open_release

        return open_release(self.recorded["released"]["dataset"], store=self.world.home.store)


def _recipes(world: World, request: Request) -> list[Any]:
    from headrace.models.training_rows import candidates

    plan = world.plan
    history, recent = (
        None if text is None else duration(text) for text in (plan.history, plan.recent)
    )
    recipes = []
    for onset in request.onsets or (None,):
        for candidate in candidates(
            request.as_of, onset=onset, segment=request.segment, history=history, recent=recent
        ):
            if candidate not in recipes:
                recipes.append(candidate)
    return recipes


def _tainted(home: Home, champion: "ModelRecord") -> bool:
    from headrace.models import model_taints

    return bool(model_taints(home, champion))


def verdict(
    comparison: "ModelComparison", margin: float, *, tainted: bool = False
) -> tuple[bool, str]:
    """Return True to promote the challenger, and the reason.

    The challenger must be neither worse overall nor clearly worse in a segment. If the champion was
    trained on a recalled batch (`tainted`), segments are ignored.
    """
    from headrace.models.compare import not_worse

    passes, reason = not_worse(comparison, margin, tainted=tainted)
    if passes and comparison.worse and not tainted:
        return False, f"{reason}; but a segment gets worse: {'; '.join(comparison.worse)}"
    return passes, reason
