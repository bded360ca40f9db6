"""HTTP endpoint for feature vectors and predictions. Needs `headrace[serve]`."""

from headrace.serving.http.app import Endpoint, RequestLimits, create_app
from headrace.serving.http.handlers import Service, ServiceAnswers
from headrace.serving.http.keys import ApiKeys, read_keys
from headrace.serving.http.metrics import Lag
from headrace.serving.http.scorer import Scorer

__all__ = [
    "ApiKeys",
    "Endpoint",
    "Lag",
    "RequestLimits",
    "Scorer",
    "Service",
    "ServiceAnswers",
    "create_app",
    "read_keys",
]
