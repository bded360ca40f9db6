"""A small made history whose model is a real one: forty weeks, eighty rows a day."""

from functools import cache

import numpy as np
import pyarrow as pa

from headrace.core.clock import DAY, MINUTE
from headrace.verification.drift_study.replayed_history import ReplayedHistory, scores_of
from headrace.verification.drift_study.study_model import learn

WEEKS, A_DAY, START = 40, 80, 15_700
SEGMENTS = ("north", "south", "east", "west")


@cache
def made(seed: int = 0, name: str = "made") -> ReplayedHistory:
    """`warm` and `site` decide the label; `noise` and `count` do not."""
    rng = np.random.default_rng(seed)
    rows = WEEKS * 7 * A_DAY
    t = START * DAY + np.arange(rows) * (DAY // A_DAY) + MINUTE
    site = rng.choice(SEGMENTS, rows, p=(0.4, 0.3, 0.15, 0.15))
    warm = rng.normal(10, 4, rows)
    pull = 0.6 * (warm - 10) + np.where(site == "north", 1.0, -0.5)
    label = (rng.random(rows) < 1 / (1 + np.exp(-pull))).astype(np.int64)
    frame = pa.table(
        {
            "t": t,
            "site": pa.array(site),
            "warm": warm,
            "noise": rng.gamma(3.0, 2.0, rows),
            "count": rng.poisson(40, rows),
        }
    )
    first = 10 * 7 * A_DAY
    scorer = learn(frame.slice(0, first), label[:first], frame.column_names[1:])
    late = frame.slice(first)
    scores = scores_of(late, scorer(late), pa.array(label[first:]), ("site",))
    return ReplayedHistory(
        name=name,
        frame=frame,
        scores=scores,
        segments=("site",),
        window_days=7,
        anchor="2012-12-26",
        scorer=scorer,
    )
