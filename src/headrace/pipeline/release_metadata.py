"""Metadata of a release: the code revision, and a summary for the page of its Dagster run."""

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from headrace.core.home import project_root
from headrace.datasets.manifest import Manifest, ManifestColumn, SplitEntry


def code_revision() -> str:
    """Return `headrace <version>`, and the project's commit if the project is a git checkout.

    `+changes` is added if there are uncommitted changes.
    """
    try:
        package = f"headrace {version('headrace')}"
    except PackageNotFoundError:
        package = "headrace"
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return package
    changed = "+changes" if _git("status", "--porcelain") else ""
    return f"{package}, project {commit[:12]}{changed}"


def _git(*arguments: str) -> str:
    try:
        process = subprocess.run(
            ["git", *arguments],
            cwd=project_root(),
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""


def release_report(manifest: Manifest) -> dict[str, Any]:
    """Return the values to show: plain, `{"md": text}`, or `{"columns": [(name, type, text)]}`."""
    splits = {f"rows in {name}": split.rows for name, split in manifest.splits.items()}
    return {
        "release": manifest.ref,
        "content hash": manifest.content_hash,
        "manifest": manifest.id,
        "change": manifest.change,
        "reasons": {"md": "\n".join(f"- {reason}" for reason in manifest.reasons)},
        "dagster/row_count": manifest.rows,
        **splits,
        "splits": {"md": _splits(manifest)},
        "features": len(manifest.features),
        "dagster/column_schema": {"columns": [_column(manifest, c) for c in manifest.columns]},
        "inputs": {"md": _inputs(manifest)},
        "licences": ", ".join(manifest.licences),
        "terms": {"md": _terms(manifest)},
        "open it": {"md": _how_to_open(manifest)},
    }


def _splits(manifest: Manifest) -> str:
    return _table(
        ("split", "rows", "parts", "MB", "excluded"),
        [
            (
                name,
                f"{split.rows:,}",
                str(len(split.parts)),
                f"{split.bytes / 1e6:,.1f}",
                _excluded(split),
            )
            for name, split in manifest.splits.items()
        ],
    )


def _excluded(split: SplitEntry) -> str:
    return ", ".join(f"{why} {count:,}" for why, count in split.left_out.items())


def _inputs(manifest: Manifest) -> str:
    return _table(
        ("table", "snapshot", "contract", "licence", "batches", "verdicts"),
        [
            (
                name,
                str(table_input.snapshot_id),
                table_input.contract_version,
                table_input.licence,
                f"{table_input.batch_count:,}",
                ", ".join(f"{verdict} {count}" for verdict, count in table_input.verdicts.items()),
            )
            for name, table_input in manifest.inputs.items()
        ],
    )


def _terms(manifest: Manifest) -> str:
    terms = [*manifest.terms.get("obligations", ()), *manifest.terms.get("credits", ())]
    if manifest.retention:
        terms.append(f"to be kept no longer than its retention says: {manifest.retention}")
    return "\n".join(f"- {term}" for term in terms) or "none"


def _how_to_open(manifest: Manifest) -> str:
    commands = (
        f'headrace.open("{manifest.ref}").df',
        f"headrace dataset show {manifest.ref}",
        f"headrace dataset verify {manifest.ref}",
    )
    return "\n".join(f"- `{command}`" for command in commands)


def _column(manifest: Manifest, column: ManifestColumn) -> tuple[str, str, str]:
    """Return the name, type and role of a column, with the share of nulls in the training rows."""
    train: Mapping[str, Any] = manifest.splits["train"].statistics.get(column.name, {})
    rows, nulls = train.get("rows", 0), train.get("nulls", 0)
    share = f", {nulls / rows:.1%} null" if rows and nulls else ""
    return column.name, column.type, f"{column.role}{share}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = (cell.replace("|", "\\|").replace("\n", " ") for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
