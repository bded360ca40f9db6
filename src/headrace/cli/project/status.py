"""`headrace status`: counts of all delivered rows, and all releases and models."""

import os
from typing import Any

from rich.text import Text

from headrace.cli.gate.gates import name_broken_suites
from headrace.cli.options import AsJson
from headrace.cli.output import emit_json, explained, grid, marked, out, tell_taints, verdict
from headrace.web.wording import counted

_METRICS = 3  # of each model


@explained
def status(*, as_json: AsJson = False) -> None:
    """Account for every row of every delivery; list releases and models.

    For each table: delivered = published + quarantined + pending + rejected. Duplicates (repeated
    within a delivery, delivered again, superseded by a corrected delivery) are counted separately.
    A partition is missing if the contract expects it and nothing was delivered for it. Files in
    drop folders that no source reads are listed with the likeliest reason.
    """
    from headrace.core.home import Home
    from headrace.pipeline import project_pipelines
    from headrace.reports.status import overview

    pipelines = project_pipelines()
    name_broken_suites(table for pipeline in pipelines for table in pipeline.tables)
    report = overview(pipelines, Home.find())
    if as_json:
        emit_json(report)
        return
    show(report, has_datasets=any(pipeline.datasets for pipeline in pipelines))


def show(report: dict[str, list[dict[str, Any]]], *, has_datasets: bool = True) -> None:
    """Print the status of tables, releases and models."""
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
        [_table_row(table) for table in report["tables"]],
    )
    if report["unmatched"]:
        grid(
            "files that no source reads",
            ["file", "bytes#", "since", "why"],
            [
                [
                    _short(file["path"]),
                    file["size"],
                    file["modified"][:16].replace("T", " "),
                    file["hint"],
                ]
                for file in report["unmatched"]
            ],
        )
    for table in report["tables"]:
        if count := table["held_twice"]:
            out.print(
                f"{table['table']}: {counted(count, 'key has', 'keys have')} two versions with the"
                " same known-at, published before the gate quarantined conflicting rows; features"
                " read the version with the greatest values. To list their batches: headrace gate"
                f" ls --table {table['table']}",
                soft_wrap=True,
            )
    for mute in report["mutes"]:
        out.print(
            f"{mute['table']}, not counted: {'; '.join(mute['covers'])}: {mute['sentence']}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    for window in report["crowded"]:
        out.print(Text(window["says"], "yellow"), soft_wrap=True)
    if report["releases"]:
        grid(
            "releases",
            ["release", "rows#", "content hash", "made"],
            [
                [
                    marked(release),
                    release["rows"],
                    str(release["content_hash"])[:16],
                    str(release["created_at"])[:19],
                ]
                for release in report["releases"]
            ],
        )
    if report["models"]:
        grid(
            "models",
            [
                "model",
                "trained on",
                "champion",
                "task",
                "on the test split",
                "against the baseline",
            ],
            [
                [
                    marked(model),
                    model["dataset"],
                    model["champion"],
                    model["task"],
                    _metrics(model),
                    (model["against_baseline"] or {}).get("says"),
                ]
                for model in report["models"]
            ],
        )
    tell_taints([*report["releases"], *report["models"]])
    if has_datasets and not report["releases"]:
        out.print("nothing released yet: headrace run")


def _short(path: str) -> str:
    """Return a path relative to the project's folder, so that the file name is not cut off."""
    from headrace.core.home import project_root

    return path.removeprefix(f"{project_root()}{os.sep}")


def _metrics(row: dict[str, Any]) -> str:
    """Return the most important metrics of a model's task; "" for external models."""
    metrics = row["metrics"] or {}
    values = [(name, metrics.get(name)) for name in row["reported"][:_METRICS]]
    return ", ".join(f"{name} {value:.4g}" for name, value in values if value is not None)


def _table_row(table: dict[str, Any]) -> list[object]:
    batches = table["batches"]
    missing = table["missing"]
    verdicts = Text(", ").join(
        Text.assemble(verdict(name), f" {count}") for name, count in batches.items() if count
    )
    if count := table["recalled"]["batches"]:
        verdicts.append(f"{', ' if verdicts else ''}recalled {count}", "red")
    absent = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    return [
        table["table"],
        *(table[name] for name in ("delivered", "published", "quarantined", "pending", "rejected")),
        verdicts,
        absent,
    ]
