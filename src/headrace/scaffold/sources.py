"""`headrace new source` for an address: a database table, objects, an API or a topic."""

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headrace.core.files import write_atomically
from headrace.scaffold import code
from headrace.scaffold.declarations import DeclaredSource, declared
from headrace.scaffold.drafts import drafted
from headrace.scaffold.files import add_table, write_new
from headrace.scaffold.inspection.column_candidates import inspect_sample
from headrace.scaffold.inspection.file_inspection import look
from headrace.scaffold.inspection.sampled_source import ask_from_sample, take
from headrace.scaffold.project import (
    ScaffoldResult,
    check_new,
    decided,
    gate_files,
    notes_on,
    pipeline_folder,
    project_of,
)
from headrace.sources.sampling.sample import Limits, Sample

# Parameter of `table` in a scaffolded pipeline; pipelines from older versions lack it.
_TAKES_SOURCE = "source: Source | None"


def new_source_at(
    address: str,
    like: Mapping[str, Any],
    pipeline: str | None,
    start: Path,
    *,
    deletions: bool = False,
    limits: Limits | None = None,
) -> ScaffoldResult:
    """Add a table to a pipeline, drafted from the first rows at `address`.

    Args:
        address: an address as for `headrace source inspect`.
        like: the user's answers, by field name of `Ask`; the rest is guessed.
        pipeline: the pipeline to add the table to; None if the project has only one.
        start: a folder in the project.
        deletions: True if a key that is missing from the whole table counts as deleted.
        limits: limits of the sample.

    Raises:
        SourceError: if the address does not exist, does not answer, or may not be read.
        DeclarationError: if the columns' roles are unclear, or the table already exists.
    """
    root = project_of(start)
    folder = pipeline_folder(root, pipeline)
    inspected = inspect_sample(take(address, limits or Limits()))
    with TemporaryDirectory() as scratch:
        ask = ask_from_sample(inspected, Path(scratch), like, deletions=deletions)
        name = ask.table_name
        check_new(root, name)
        source = declared(inspected, name, ask.key, deletions=deletions)
        facts = drafted(look(ask), folder.name, [code.dataset_name(folder.name)])
        files = gate_files(folder.name, facts, [column.name for column in facts.look.entity])
        decisions = decided(facts, None)
        hint, data_notes = code.view_hint(facts), notes_on(facts)
    write_new(root, files)
    notes = [
        *data_notes,
        *_declare(root, folder, name, source, inspected.sample),
        f"features.py: use the table, as in {hint}",
    ]
    return ScaffoldResult(root, tuple(files), {**decisions, "source": source.call}, tuple(notes))


def _declare(
    root: Path, folder: Path, name: str, source: DeclaredSource, sample: Sample
) -> list[str]:
    """Add the source to the pipeline's code; return notes on what the user must add by hand."""
    partitioning = "" if source.partitioned else ", partitioned=False"
    entry = f'table("{name}", folder, source=sources.{name}(){partitioning}),'
    notes = []
    at = folder.relative_to(root)
    if not _add_function(folder / "sources.py", name, _function(name, source, sample)):
        notes.append(f"{at}/sources.py: add\n{_function(name, source, sample)}")
    module = folder / "__init__.py"
    fits = _TAKES_SOURCE in module.read_text(encoding="utf-8")
    if not fits or not add_table(module, entry):
        notes.append(
            f"{at}/__init__.py: let table() take `{_TAKES_SOURCE} = None`, and add to tables:\n"
            f"    {entry}"
        )
    if source.stream:
        notes.append(f"{at}/__init__.py: add streams=({source.stream},) to the Pipeline")
    return notes


def _function(name: str, source: DeclaredSource, sample: Sample) -> str:
    imports = "".join(f"    {line}\n" for line in source.imports)
    return (
        f'def {name}() -> Source:\n    """Drafted from {sample.address.replace(chr(92), "/")}."""\n'
        f"{imports}\n    # TODO: who is the producer?\n    return {source.lines('    ')}\n"
    )


def _add_function(path: Path, name: str, text: str) -> bool:
    if not path.exists():
        return False
    existing = path.read_text(encoding="utf-8")
    if re.search(rf"^def {name}\(", existing, re.MULTILINE):
        return False
    write_atomically(path, f"{existing.rstrip()}\n\n\n{text}".encode())
    return True
