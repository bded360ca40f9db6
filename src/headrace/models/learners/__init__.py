"""Learners: LightGBM, and the team's own code in a worker process."""

from headrace.models.learners.declaration import LightGBM, SklearnLearner, Trainer, WorkerLimits

__all__ = ["LightGBM", "SklearnLearner", "Trainer", "WorkerLimits"]
