"""The pipeline as it is simulated: as declared, but its sources read the simulation's folders."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from headrace.core.errors import DeclarationError
from headrace.core.home import Home, project_root
from headrace.lake.table import Table
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.load import load_pipeline, make_importable, pipeline_modules
from headrace.sources.delivery_places import FilePlace, Place
from headrace.sources.files import DropFolder


def find_pipeline(module: str, home: Home) -> Pipeline:
    """A project's pipeline, with the sources of the simulation in `home`."""
    return simulated(load_pipeline(module), home)


def module_of(name: str) -> str:
    """The module of the project's pipeline of this name, importable; of its only one, if "".

    Raises:
        DeclarationError: there is none, or more than one.
    """
    root = project_root()
    known = pipeline_modules(root)
    make_importable(root)
    found = [one for one in known if name in {"", one, one.rpartition(".")[2]}]
    if len(found) != 1:
        raise DeclarationError(
            f"no pipeline {name!r}" if name else "this project has several pipelines",
            fix=f"name one: {', '.join(known)}",
        )
    return found[0]


def simulated(pipeline: Pipeline, home: Home) -> Pipeline:
    """A pipeline with places of its own reads under the home by itself; folders are moved there.

    Raises:
        DeclarationError: a source is no folder, and the pipeline does not say where it is fed.
    """
    return pipeline if pipeline.places is not None else moved(pipeline, home)


def moved(pipeline: Pipeline, home: Home) -> Pipeline:
    """Return the pipeline with its sources' folders under a home, a folder for each table.

    Raises:
        DeclarationError: a source is not a folder.
    """
    live = home.deliveries / pipeline.name
    return replace(pipeline, tables=tuple(_moved(table, live) for table in pipeline.tables))


def _moved(table: Table, live: Path) -> Table:
    source = table.source
    if not isinstance(source, DropFolder) or str(source.folder).startswith("s3://"):
        raise DeclarationError(
            f"table {table.name}: a {type(source).__name__} cannot be simulated by itself",
            fix="say where its producer puts what it delivers: Pipeline(places=...)",
        )
    return replace(table, source=replace(source, folder=live / table.name))


def places_of(declared: Pipeline, home: Home, held: Path) -> Mapping[str, Place]:
    """Where each table is fed: from `held`, or from the folders that the sources now read."""
    if declared.places is not None:
        return declared.places(held, home.deliveries / declared.name)
    found: dict[str, Place] = {}
    for table, live in zip(declared.tables, moved(declared, home).tables, strict=True):
        assert isinstance(table.source, DropFolder)
        assert isinstance(live.source, DropFolder)
        found[table.name] = FilePlace(table.source, live.source)
    return found
