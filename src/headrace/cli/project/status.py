"""`headrace status`: every delivered row accounted for, every release and model."""

import os
from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.gate.gates import name_broken_suites
from headrace.cli.output import emit_json, explained, grid, marked, out, tell_taints, verdict

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


@explained
def status(*, as_json: Json = False) -> None:
    """Account for every row of every delivery; list releases and models.

    For each table: delivered = published + quarantined + pending + rejected. Rows that came twice
    (repeated within a delivery, delivered again, superseded by a corrected delivery) are counted
    apart. Missing slots were expected by the contract and have no delivery. Files in drop folders
    that no source reads are listed with the likeliest reason.
    """
    from headrace.core.home import Home
    from headrace.pipeline import project_pipelines
    from headrace.reports.status import overview

    pipelines = project_pipelines()
    name_broken_suites(table for pipeline in pipelines for table in pipeline.tables)
    found = overview(pipelines, Home.find())
    if as_json:
        emit_json(found)
        return
    show(found)


def show(found: dict[str, list[dict[str, Any]]]) -> None:
    grid(
        "tables",
        [
            "table",
            "delivered#",
            "published#",
            "quarantined#",
            "pending#",
            "rejected#",
            "batches",
            "missing",
        ],
        [_table_row(table) for table in found["tables"]],
    )
    if found["unmatched"]:
        grid(
            "files that no source reads",
            ["file", "bytes#", "since", "why"],
            [
                [
                    _short(one["path"]),
                    one["size"],
                    one["modified"][:16].replace("T", " "),
                    one["hint"],
                ]
                for one in found["unmatched"]
            ],
        )
    for table in found["tables"]:
        if count := table["held_twice"]:
            out.print(
                f"{table['table']}: {count} keys have two contents of the same known-at, published"
                " before conflicts were quarantined; features read the greatest. See which:"
                f" headrace gate ls --table {table['table']}",
                soft_wrap=True,
            )
    for window in found["crowded"]:
        out.print(Text(window["says"], "yellow"), soft_wrap=True)
    if found["releases"]:
        grid(
            "releases",
            ["release", "rows#", "content hash", "made"],
            [
                [
                    marked(one),
                    one["rows"],
                    str(one["content_hash"])[:16],
                    str(one["created_at"])[:19],
                ]
                for one in found["releases"]
            ],
        )
    if found["models"]:
        grid(
            "models",
            [
                "model",
                "trained on",
                "champion",
                "log loss#",
                "AUC#",
                "against the baseline",
            ],
            [
                [
                    marked(one),
                    one["dataset"],
                    one["champion"],
                    _of_model(one, "log_loss"),
                    _of_model(one, "auc"),
                    (one["against_baseline"] or {}).get("says"),
                ]
                for one in found["models"]
            ],
        )
    tell_taints([*found["releases"], *found["models"]])
    if not found["releases"]:
        out.print("nothing released yet: headrace run")


def _short(path: str) -> str:
    """Return a path from the project's folder on, so that the name of the file is not cut off."""
    from headrace.core.home import project_root

    return path.removeprefix(f"{project_root()}{os.sep}")


def _of_model(row: dict[str, Any], measure: str) -> object:
    """On the test split; nothing of a model from elsewhere, which nobody here judged."""
    judged = row["test"] or {}
    return (judged.get("model") or {}).get(measure)


def _table_row(table: dict[str, Any]) -> list[object]:
    batches = table["batches"]
    missing = table["missing"]
    told = Text(", ").join(
        Text.assemble(verdict(name), f" {count}") for name, count in batches.items() if count
    )
    if count := table["recalled"]["batches"]:
        told.append(f"{', ' if told else ''}recalled {count}", "red")
    absent = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    return [
        table["table"],
        *(table[name] for name in ("delivered", "published", "quarantined", "pending", "rejected")),
        told,
        absent,
    ]
