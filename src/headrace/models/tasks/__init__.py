"""Tasks of models: what a model predicts, how it learns it, and how its loss is measured."""

from headrace.models.tasks.base import Class, Floats, PredictionTask, label_place
from headrace.models.tasks.binary import BINARY
from headrace.models.tasks.declared import declared_task, parsed_task

__all__ = [
    "BINARY",
    "Class",
    "Floats",
    "PredictionTask",
    "declared_task",
    "label_place",
    "parsed_task",
]
