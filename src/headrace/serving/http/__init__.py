"""The HTTP endpoint: vectors and predictions as a web application. Needs `headrace[serve]`."""

from headrace.serving.http.app import Endpoint, Limits, create_app
from headrace.serving.http.handlers import Answers, Service
from headrace.serving.http.keys import Keys, read_keys
from headrace.serving.http.metrics import Lag
from headrace.serving.http.scorer import Scorer

__all__ = [
    "Answers",
    "Endpoint",
    "Keys",
    "Lag",
    "Limits",
    "Scorer",
    "Service",
    "create_app",
    "read_keys",
]
