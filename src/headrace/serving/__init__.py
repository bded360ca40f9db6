"""Online serving: feature vectors computed as in training, and a served log for audits."""

from headrace.serving.audit import AuditReport, Difference, audit
from headrace.serving.log import Entry, ServedLog
from headrace.serving.request import RequestError, RequestSchema
from headrace.serving.score import Answer, answer
from headrace.serving.vectors import FeatureService, Frontier, Published, Vector

__all__ = [
    "Answer",
    "AuditReport",
    "Difference",
    "Entry",
    "FeatureService",
    "Frontier",
    "Published",
    "RequestError",
    "RequestSchema",
    "ServedLog",
    "Vector",
    "answer",
    "audit",
]
