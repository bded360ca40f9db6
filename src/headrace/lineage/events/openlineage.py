"""OpenLineage run events as plain JSON: START, then COMPLETE or FAIL, for each run.

Events and run ids depend only on the stored state: the same state always gives the same events.
Facets carry the `$id`s of the schemas that they follow.
"""

import os
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

from headrace.core.clock import iso

Facets: TypeAlias = dict[str, Any]
Event: TypeAlias = dict[str, Any]

_BASE = "https://openlineage.io/spec"
SCHEMA_URL = f"{_BASE}/2-0-2/OpenLineage.json#/$defs/RunEvent"
# Facet -> (version of its schema, name of its definition in the schema).
FACETS = {
    "columnLineage": ("1-2-0", "ColumnLineageDatasetFacet"),
    "dataQualityAssertions": ("1-1-0", "DataQualityAssertionsDatasetFacet"),
    "documentation": ("1-1-0", "DocumentationDatasetFacet"),
    "errorMessage": ("1-0-1", "ErrorMessageRunFacet"),
    "jobType": ("2-0-4", "JobTypeJobFacet"),
    "outputStatistics": ("1-0-2", "OutputStatisticsOutputDatasetFacet"),
    "ownership": ("1-0-1", "OwnershipDatasetFacet"),
    "processing_engine": ("1-1-1", "ProcessingEngineRunFacet"),
    "schema": ("1-2-0", "SchemaDatasetFacet"),
    "sourceCodeLocation": ("1-1-0", "SourceCodeLocationJobFacet"),
    "version": ("1-0-1", "DatasetVersionDatasetFacet"),
}
_RUN_NAMESPACE = uuid.UUID("5a6a3f4e-3f0a-5d0c-9f3e-0d5f4b8f7c11")
_COMMIT = re.compile(r"project ([0-9a-f]{7,40})(\+changes)?")


def namespace() -> str:
    """Return `HEADRACE_LINEAGE_NAMESPACE`, which identifies the installation, or `headrace`."""
    return os.environ.get("HEADRACE_LINEAGE_NAMESPACE") or "headrace"


@cache
def engine_version() -> str:
    try:
        return version("headrace")
    except PackageNotFoundError:
        return "0"


def producer() -> str:
    return f"urn:headrace:{engine_version()}"


def facet(kind: str, /, **content: Any) -> Facets:  # noqa: ANN401 - JSON
    """Return `{kind: facet}`, which can be merged with other facets."""
    number, definition = FACETS[kind]
    url = f"{_BASE}/facets/{number}/{definition}.json#/$defs/{definition}"
    return {kind: {"_producer": producer(), "_schemaURL": url, **content}}


def dataset(
    name: str,
    facets: Facets | None = None,
    *,
    input_facets: Facets | None = None,
    output_facets: Facets | None = None,
) -> dict[str, Any]:
    """Return the JSON of a dataset, with facets for its use as an input or an output."""
    document: dict[str, Any] = {"namespace": namespace(), "name": name, "facets": facets or {}}
    if input_facets is not None:
        document["inputFacets"] = input_facets
    if output_facets is not None:
        document["outputFacets"] = output_facets
    return document


@dataclass(frozen=True)
class LineageRun:
    """Run with its inputs, outputs and times in int64 microseconds UTC.

    Attributes:
        job: name of the job within the namespace.
        kind: word for the job's type, such as PUBLISH.
        identity: the values that identify the run.
        error: why the run failed; "" if it did not fail.
        revision: code revision, in the form that releases store.
    """

    job: str
    kind: str
    identity: Sequence[str]
    started: int
    ended: int
    inputs: Sequence[dict[str, Any]] = ()
    outputs: Sequence[dict[str, Any]] = ()
    error: str = ""
    revision: str = ""
    facets: Facets = field(default_factory=dict)

    @property
    def id(self) -> str:
        """UUID of the run, derived from job and identity."""
        return str(uuid.uuid5(_RUN_NAMESPACE, "\0".join((namespace(), self.job, *self.identity))))

    def events(self) -> list[Event]:
        ended = "FAIL" if self.error else "COMPLETE"
        return [
            self._event("START", self.started, inputs=[], outputs=[]),
            self._event(ended, self.ended, inputs=list(self.inputs), outputs=list(self.outputs)),
        ]

    def _event(
        self, kind: str, at: int, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]
    ) -> Event:
        run = facet("processing_engine", version=engine_version(), name="headrace") | self.facets
        if self.error and kind == "FAIL":
            run |= facet("errorMessage", message=self.error, programmingLanguage="PYTHON")
        job = facet("jobType", processingType="BATCH", integration="HEADRACE", jobType=self.kind)
        return {
            "eventType": kind,
            "eventTime": iso(at),
            "run": {"runId": self.id, "facets": run},
            "job": {
                "namespace": namespace(),
                "name": self.job,
                "facets": job | source_code(self.revision),
            },
            "inputs": inputs,
            "outputs": outputs,
            "producer": producer(),
            "schemaURL": SCHEMA_URL,
        }


def source_code(revision: str) -> Facets:
    """Return the facet for the commit of the project; {} if the revision names no commit."""
    parsed = _COMMIT.search(revision)
    if parsed is None:
        return {}
    commit, changes = parsed.groups()
    tag = {"tag": "changes that were not committed"} if changes else {}
    return facet("sourceCodeLocation", type="git", url=f"urn:git:{commit}", version=commit, **tag)


def schema(fields: Iterable[tuple[str, str, str]]) -> Facets:
    """Return the schema facet of `fields`: (name, type, description or "")."""
    return facet(
        "schema",
        fields=[
            {"name": name, "type": kind, "ordinal_position": place}
            | ({"description": description} if description else {})
            for place, (name, kind, description) in enumerate(fields, 1)
        ],
    )


def column_facet(
    columns: Mapping[str, Mapping[str, Any]], names: Mapping[str, str], *, only: Iterable[str] = ()
) -> Facets:
    """Return the column lineage facet for the columns of a lineage document.

    `names` is {table: dataset}.
    """
    selected = set(only) or set(columns)
    fields = {
        name: {
            "inputFields": [
                {
                    "namespace": namespace(),
                    "name": names[source["table"]],
                    "field": source["column"],
                    "transformations": [
                        {
                            "type": source["kind"],
                            "subtype": source["subtype"],
                            "description": source["what"],
                            "masking": column.get("treatment") in {"pseudonymise", "generalise"},
                        }
                    ],
                }
                for source in column["inputs"]
            ]
        }
        for name, column in columns.items()
        if name in selected
    }
    return facet("columnLineage", fields=fields)


def verdict_facet(verdict: str, suite: str, summary: str) -> Facets:
    """Return the facet for the gate's verdict on a delivery."""
    return facet(
        "dataQualityAssertions",
        assertions=[
            {
                "assertion": "gate",
                "success": verdict == "PASS",
                "severity": "error" if verdict in {"BLOCK", "ERROR"} else "warn",
                "name": suite,
                "description": summary,
                "expected": "PASS",
                "actual": verdict,
            }
        ],
    )
