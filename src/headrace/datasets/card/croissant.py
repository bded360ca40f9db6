"""Render a card as Croissant 1.1 JSON-LD, with the responsible-AI vocabulary (RAI 1.0).

Each split becomes one record set, and each of its parts one file object with its sha256. If a split
has several parts, a file set groups them.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.core.clock import iso
from headrace.datasets.card.statement import NOT_STATED
from headrace.datasets.card.wording import (
    excluded_rows_text,
    feature_sentences,
    label_text,
    prediction_range,
    privacy_sentences,
    retention_sentence,
    sources_text,
)
from headrace.datasets.manifest import ManifestColumn, SplitEntry

if TYPE_CHECKING:
    from headrace.datasets.card.build import Card

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_CONFORMS = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
_TYPES = {
    "int64": "cr:Int64",
    "float64": "cr:Float64",
    "bool": "sc:Boolean",
    "timestamp": "sc:DateTime",
    "local_timestamp": "sc:DateTime",
    "date": "sc:Date",
    "string": "sc:Text",
    "binary": "sc:Text",
}
_SPDX = "https://spdx.org/licenses/"


def croissant(card: "Card", folder: Path | str | None = None) -> dict[str, Any]:
    """Croissant document of `card`, with links relative to `folder` (see `Card.to_json`)."""
    manifest = card.manifest
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _CONFORMS,
        "name": manifest.name,
        "description": manifest.description or NOT_STATED,
        "version": manifest.version,
        "license": _licence(card),
        "citeAs": card.statement_text("citation"),
        "dateCreated": card.created_at,
        "datePublished": card.created_at,
        "isLiveDataset": False,
        "identifier": f"sha256:{manifest.id}",
        "distribution": _distribution(card, folder),
        "recordSet": [
            _record_set(name, split, manifest.columns)
            for name, split in manifest.splits.items()
            if split.rows
        ],
        **_rai(card),
    }


def _licence(card: "Card") -> list[str]:
    stated = card.stated.get("licence")
    terms = card.manifest.terms
    ids = [stated.text] if stated else list(terms.get("under") or card.manifest.licences)
    return [f"{_SPDX}{id_}.html" if " " not in id_ and "_" not in id_ else id_ for id_ in ids]


def _distribution(card: "Card", folder: Path | str | None) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for name, split in card.manifest.splits.items():
        if not split.rows:
            continue
        files = [
            {
                "@type": "cr:FileObject",
                "@id": _file(name, number),
                "name": _file(name, number),
                "description": f"{part.rows:,} rows of {name}",
                "contentUrl": _address(card, part.object, folder),
                "contentSize": f"{part.bytes} B",
                "encodingFormat": "application/x-parquet",
                "sha256": part.object,
            }
            for number, part in enumerate(split.parts)
        ]
        entries += files
        if len(files) > 1:
            entries.append(
                {
                    "@type": "cr:FileSet",
                    "@id": f"{name}-files",
                    "name": f"{name}-files",
                    "encodingFormat": "application/x-parquet",
                    # Paths are relative to the folder of the document.
                    "includes": [file["contentUrl"] for file in files],
                }
            )
    return entries


def _file(split: str, number: int) -> str:
    return f"{split}-{number}.parquet"


def _address(card: "Card", digest: str, folder: Path | str | None) -> str:
    """Path of a part, relative to the document."""
    inside = f"objects/{digest}.parquet"
    if folder is None:
        return inside
    place = card.store.object_path(digest, "parquet")
    return Path(os.path.relpath(place, Path(folder).absolute())).as_posix()


def _record_set(
    name: str, split: SplitEntry, columns: tuple[ManifestColumn, ...]
) -> dict[str, Any]:
    source = (
        {"fileSet": {"@id": f"{name}-files"}}
        if len(split.parts) > 1
        else {"fileObject": {"@id": _file(name, 0)}}
    )
    keys = [{"@id": f"{name}/{column.name}"} for column in columns if column.role == "key"]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"{split.rows:,} rows, ordered by time and key",
        "key": keys,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column.name}",
                "name": f"{name}/{column.name}",
                "description": column.role,
                "dataType": _TYPES[column.type],
                "source": {**source, "extract": {"column": column.name}},
            }
            for column in columns
        ],
    }


def _rai(card: "Card") -> dict[str, Any]:
    manifest = card.manifest
    frame = prediction_range(manifest)
    biases, limits = card.statement_text("biases"), card.statement_text("limitations")
    return {
        "rai:dataCollection": (
            f"{card.statement_text('collection')}. Input tables: {sources_text(manifest)}"
        ),
        **({"rai:dataCollectionTimeframe": [iso(t) for t in frame]} if frame else {}),
        "rai:dataCollectionMissingData": excluded_rows_text(manifest),
        "rai:dataPreprocessingProtocol": feature_sentences(manifest),
        "rai:dataAnnotationProtocol": [label_text(manifest), card.statement_text("annotation")],
        "rai:dataBiases": [biases],
        "rai:dataLimitations": [
            limits,
            f"must not be used for: {card.statement_text('not_for')}",
            *card.tainted,
        ],
        "rai:dataUseCases": [f"released for {manifest.purpose}", card.statement_text("use_cases")],
        "rai:dataSocialImpact": card.statement_text("social_impact"),
        "rai:personalSensitiveInformation": [
            *privacy_sentences(manifest),
            card.statement_text("consent"),
        ],
        "rai:dataReleaseMaintenancePlan": (
            f"{retention_sentence(manifest)}; maintained: {card.statement_text('maintenance')}"
        ),
    }
