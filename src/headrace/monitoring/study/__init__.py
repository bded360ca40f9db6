"""How a monitor would do on a history: quiet where nothing happened, right where something did."""

from headrace.monitoring.study.data import History, load_histories, save_history
from headrace.monitoring.study.learn import Scorer, learn

__all__ = ["History", "Scorer", "learn", "load_histories", "save_history"]
