"""`headrace new source` for what is no CSV file: a table, objects, an API, a topic, by address."""

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headrace.core.files import write_atomically
from headrace.scaffold import code
from headrace.scaffold.declarations import Declared, declared
from headrace.scaffold.drafts import drafted
from headrace.scaffold.files import add_table, write_new
from headrace.scaffold.inspection.column_candidates import tried
from headrace.scaffold.inspection.file_inspection import look
from headrace.scaffold.inspection.sampled_source import asked, take
from headrace.scaffold.project import (
    Made,
    check_new,
    decided,
    gate_files,
    notes_on,
    pipeline_folder,
    project_of,
)
from headrace.sources.sampling.sample import Limits, Sample

# A pipeline that was made before sources could be given has a `table` without it.
_TAKES_SOURCE = "source: Source | None"


def new_source_at(
    address: str,
    like: Mapping[str, Any],
    pipeline: str | None,
    start: Path,
    *,
    deletions: bool = False,
    limits: Limits | None = None,
) -> Made:
    """One more table in a pipeline, drafted from the first rows at `address`.

    Args:
        address: as `headrace source inspect` takes it.
        like: what the user says of it, by the names of `Ask`; the rest is guessed.
        pipeline: the pipeline to add it to; the only one if None.
        start: a folder of the project.
        deletions: a key that the whole table does not hold any more was deleted.
        limits: how much is read.

    Raises:
        SourceError: nothing there, nobody answers, or no right to read it.
        DeclarationError: it cannot be told what its columns are for, or there is such a table.
    """
    root = project_of(start)
    folder = pipeline_folder(root, pipeline)
    seen = tried(take(address, limits or Limits()))
    with TemporaryDirectory() as scratch:
        ask = asked(seen, Path(scratch), like, deletions=deletions)
        name = ask.table_name
        check_new(root, name)
        source = declared(seen, name, ask.key, deletions=deletions)
        found = drafted(look(ask), folder.name, [code.dataset_name(folder.name)])
        files = gate_files(folder.name, found, [column.name for column in found.look.entity])
        told = decided(found, None)
        hint, more = code.view_hint(found), notes_on(found)
    write_new(root, files)
    notes = [
        *more,
        *_declare(root, folder, name, source, seen.sample),
        f"features.py: use it, as in {hint}",
    ]
    return Made(root, tuple(files), {**told, "source": source.call}, tuple(notes))


def _declare(root: Path, folder: Path, name: str, source: Declared, sample: Sample) -> list[str]:
    """Put the source into the pipeline; what has to be done by hand instead."""
    whole = "" if source.partitioned else ", partitioned=False"
    entry = f'table("{name}", folder, source=sources.{name}(){whole}),'
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


def _function(name: str, source: Declared, sample: Sample) -> str:
    imports = "".join(f"    {line}\n" for line in source.imports)
    return (
        f'def {name}() -> Source:\n    """Drafted from {sample.address.replace(chr(92), "/")}."""\n'
        f"{imports}\n    # TODO: who answers for the content?\n    return {source.lines('    ')}\n"
    )


def _add_function(path: Path, name: str, text: str) -> bool:
    if not path.exists():
        return False
    there = path.read_text(encoding="utf-8")
    if re.search(rf"^def {name}\(", there, re.MULTILINE):
        return False
    write_atomically(path, f"{there.rstrip()}\n\n\n{text}".encode())
    return True
