"""Models on releases: training, evaluation, champion pointer. LightGBM is imported on first use."""

from headrace.models.evaluate import evaluate
from headrace.models.external import ExternalModel, list_external, register
from headrace.models.learners import LightGBM, SklearnLearner, Trainer, WorkerLimits
from headrace.models.record import ModelRecord, list_models, load_record
from headrace.models.registry import (
    Challenge,
    Champion,
    challenge,
    champion,
    find_model,
    history,
    open_model,
    pointer,
    promote,
)
from headrace.models.score import predict
from headrace.models.spec import ModelSpec
from headrace.models.taint import model_taints
from headrace.models.train import train

__all__ = [
    "Challenge",
    "Champion",
    "ExternalModel",
    "LightGBM",
    "ModelRecord",
    "ModelSpec",
    "SklearnLearner",
    "Trainer",
    "WorkerLimits",
    "challenge",
    "champion",
    "evaluate",
    "find_model",
    "history",
    "list_external",
    "list_models",
    "load_record",
    "model_taints",
    "open_model",
    "pointer",
    "predict",
    "promote",
    "register",
    "train",
]
