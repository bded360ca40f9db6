"""OpenAPI description of the endpoint: columns of a request and features, with their types."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.contracts.model import Field
from headrace.models.tasks import PredictionTask
from headrace.serving.request import RequestSchema

Schema = dict[str, Any]

_TYPES: Mapping[str, Schema] = {
    "integer": {"type": "integer", "format": "int64"},
    "number": {"type": "number"},
    "string": {"type": "string"},
    "timestamp": {"type": "string", "format": "date-time"},
    "boolean": {"type": "boolean"},
}
_EXAMPLES: Mapping[str, object] = {
    "integer": 1,
    "number": 1.5,
    "string": "A",
    "timestamp": "2024-03-05T12:00:00Z",
    "boolean": True,
}
_MOMENT: Schema = {
    "description": "The prediction time of all requests: a timestamp with a zone, or microseconds"
    " UTC. The default is now; a time in the future is refused.",
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "format": "int64"}],
}
_CELL: Schema = {"type": ["integer", "number", "string", "boolean", "null"]}
_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["what"],
            "properties": {
                "what": {"type": "string", "description": "What was wrong."},
                "where": {"type": "string"},
                "fix": {"type": "string", "description": "How to fix it."},
                "field": {"type": "string", "description": "The column with the error."},
                "request": {"type": "integer", "description": "Index of the request in the body."},
            },
        }
    },
}
_REFUSALS: Mapping[int, str] = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    409: "The feature definitions differ from the requested ones, or from those in training.",
    413: "The body is too long, or has too many requests.",
    422: "A request does not fit the spine; `field` and `fix` say how to fix it.",
    503: "No answer at present: nothing is published, features are too stale, or answers cannot be"
    " logged.",
}


def request_body(schema: RequestSchema, limit: int) -> Schema:
    """Return the request body, as an OpenAPI `requestBody`."""
    columns = {field.name: _column(field, schema) for field in schema.fields}
    required = [name for name in columns if name not in schema.defaults]
    body = _object(
        {
            "requests": {
                "type": "array",
                "minItems": 1,
                "maxItems": limit,
                "items": _object(columns, required),
            },
            "at": _MOMENT,
            "definition": {
                "type": "string",
                "description": "Expected digest of the feature definitions. If the service has"
                " another digest, it refuses the requests.",
            },
        },
        ["requests"],
    )
    example = {field.name: _EXAMPLES[field.type] for field in schema.fields}
    content = {"schema": body, "example": {"requests": [example]}}
    return {"required": True, "content": {"application/json": content}}


def vectors(features: Sequence[str]) -> dict[int | str, Schema]:
    """Return the answers of `POST /v1/vectors`, by status."""
    vector = _object(dict.fromkeys(features, _CELL), list(features))
    description = (
        "One vector for each request, in order. Timestamps are microseconds UTC; infinities are"
        " texts."
    )
    return _answers({"vectors": {"type": "array", "items": vector, "description": description}})


def predictions(task: PredictionTask) -> dict[int | str, Schema]:
    """Return the answers of `POST /v1/predictions` for models of `task`, by status."""
    prediction = _object(task.answer_schema, list(task.answer_schema))
    description = f"One prediction for each request, in order: {task.predicts}."
    return _answers(
        {
            "model": {"type": "string", "description": "Name of the model and id of its bundle."},
            "predictions": {"type": "array", "items": prediction, "description": description},
        },
        {
            "tainted": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Recalled batches that the model was trained on: do not rely on the"
                " predictions. Absent if there are none.",
            }
        },
    )


def _answers(properties: Schema, maybe: Schema | None = None) -> dict[int | str, Schema]:
    shared = {
        "t": {"type": "integer", "description": "The prediction time, microseconds UTC."},
        "definition": {"type": "string", "description": "Digest of the feature definitions."},
        "frontier": {
            "type": "object",
            "description": "Id of the snapshot that was read of each table.",
            "additionalProperties": {"type": "string"},
        },
    }
    stale: Schema = {"type": "array", "items": {"type": "string"}}
    stale["description"] = "Views that exceed their staleness limit; absent if there are none."
    answers = _object(
        {**shared, **properties, "stale": stale, **(maybe or {})}, [*shared, *properties]
    )
    refusals: dict[int | str, Schema] = {
        status: _content(text, _ERROR) for status, text in _REFUSALS.items()
    }
    return {200: _content("An answer.", answers), **refusals}


def _content(text: str, schema: Schema) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _column(field: Field, schema: RequestSchema) -> Schema:
    column = dict(_TYPES[field.type])
    if schema.nullable(field):
        column["type"] = [column["type"], "null"]
    if field.name in schema.defaults:
        column["default"] = schema.defaults[field.name]
    return {**column, "description": f"{field.description} ({field.form_text})"}


def _object(properties: Schema, required: Sequence[str]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
