"""Settings of a pipeline's retraining: rolling splits, candidates and promotion.

They belong to the pipeline, not to the monitor, because they move the splits of the dataset and set
the conditions for promotion. The monitor's policy decides when to retrain; these settings decide
how.
"""

from dataclasses import dataclass

from headrace.core.clock import DAY, duration
from headrace.core.errors import DeclarationError


@dataclass(frozen=True)
class Retraining:
    """Settings of a retraining. Durations are text ("14d").

    Attributes:
        valid: duration of the valid split, which precedes the test split. The number of rounds and
            the candidate are chosen on it.
        test: duration of the test split, which has the newest rows. Challenger and champion are
            compared on it.
        history: maximum age of training rows at the retraining; None for no limit.
        recent: maximum age of training rows for one extra candidate; None for no such candidate.
        segment_margin: largest allowed rise of a segment's loss, at the lower end of the interval;
            in the units of `ModelSpec.margin`, as is `watch_margin`.
        watch: number of monitor windows for which a promoted challenger is watched.
        watch_margin: largest loss, relative to the old champion, that a watched challenger may
            have at the lower end of the interval before it is rolled back.
        attempts: number of attempts before a retraining counts as failed and a person is notified.
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
                f"one of the durations {', '.join(lengths)} is shorter than a day",
                where="Retraining",
            )
        if min(self.watch, self.attempts) < 1 or min(self.segment_margin, self.watch_margin) < 0:
            raise DeclarationError(
                "watch and attempts must be at least 1, and margins at least 0", where="Retraining"
            )
