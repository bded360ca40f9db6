"""Study of a drift monitor: false alarms on unchanged histories, detection of injected faults."""

from headrace.verification.drift_study.replayed_history import (
    ReplayedHistory,
    load_histories,
    save_history,
)
from headrace.verification.drift_study.study_model import StudyScorer, learn

__all__ = ["ReplayedHistory", "StudyScorer", "learn", "load_histories", "save_history"]
