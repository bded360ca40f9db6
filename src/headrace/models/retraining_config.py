"""Settings of a pipeline's retraining: rolling splits, candidates and promotion.

They belong to the pipeline, not to the monitor, because they move the dataset's splits and state
what a new model must prove. The monitor's policy decides when to retrain; these settings decide
how.
"""

from dataclasses import dataclass

from headrace.core.clock import DAY, duration
from headrace.core.errors import DeclarationError


@dataclass(frozen=True)
class Retraining:
    """Settings of a retraining. Durations are text ("14d").

    Attributes:
        valid: length of the part before `test`, on which rounds and candidates are chosen.
        test: length of the newest part of a release, on which challenger and champion are compared.
        history: rows older than this, as of the retraining, are not trained on; None for no limit.
        recent: one candidate is trained on rows up to this age only; None for no such candidate.
        segment_margin: log loss that a segment may lose at the better end of its interval.
        watch: windows of the monitor for which a promoted challenger is watched.
        watch_margin: log loss that it may lose to the old champion meanwhile, at the better end.
        attempts: attempts at a retraining before it counts as failed and a person is notified.
    """

    valid: str = "7d"
    test: str = "14d"
    history: str | None = None
    recent: str | None = "60d"
    segment_margin: float = 0.005
    watch: int = 4
    watch_margin: float = 0.0
    attempts: int = 3

    def __post_init__(self) -> None:
        lengths = [self.valid, self.test, *filter(None, (self.history, self.recent))]
        if min(map(duration, lengths)) < DAY:
            raise DeclarationError(
                f"one of {', '.join(lengths)} is shorter than a day", where="Retraining"
            )
        if min(self.watch, self.attempts) < 1 or min(self.segment_margin, self.watch_margin) < 0:
            raise DeclarationError(
                "watch and attempts start at 1, margins at 0", where="Retraining"
            )
