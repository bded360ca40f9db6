"""Study of a monitor on histories: false alarms without faults, detected faults with them."""

from headrace.verification.drift_study.replayed_history import History, load_histories, save_history
from headrace.verification.drift_study.study_model import Scorer, learn

__all__ = ["History", "Scorer", "learn", "load_histories", "save_history"]
