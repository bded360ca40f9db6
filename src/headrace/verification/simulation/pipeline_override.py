"""Simulated pipeline: the declared one, with sources that read the simulation's folders."""

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
    """Return the pipeline of a module, with the sources of the simulation in `home`."""
    return simulated(load_pipeline(module), home)


def module_of(name: str) -> str:
    """Return the module of the project's pipeline `name`; "" selects the only pipeline.

    Raises:
        DeclarationError: no pipeline matches, or several do.
    """
    root = project_root()
    modules = pipeline_modules(root)
    make_importable(root)
    matches = [module for module in modules if name in {"", module, module.rpartition(".")[2]}]
    if len(matches) != 1:
        raise DeclarationError(
            f"no pipeline {name!r}" if name else "this project has several pipelines",
            fix=f"name one: {', '.join(modules)}",
        )
    return matches[0]


def simulated(pipeline: Pipeline, home: Home) -> Pipeline:
    """Return the pipeline with sources under the home.

    A pipeline that declares `places` already reads from these places; for other pipelines the
    source folders are replaced.

    Raises:
        DeclarationError: a source is not a folder, and the pipeline declares no `places`.
    """
    return pipeline if pipeline.places is not None else relocated(pipeline, home)


def relocated(pipeline: Pipeline, home: Home) -> Pipeline:
    """Replace the source folder of each table by a folder under the home.

    Raises:
        DeclarationError: a source is not a folder.
    """
    live = home.deliveries / pipeline.name
    return replace(pipeline, tables=tuple(_relocated(table, live) for table in pipeline.tables))


def _relocated(table: Table, live: Path) -> Table:
    source = table.source
    if not isinstance(source, DropFolder) or str(source.folder).startswith("s3://"):
        raise DeclarationError(
            f"table {table.name}: the simulation cannot replace a {type(source).__name__} by a"
            " folder",
            fix="declare where its producer delivers: Pipeline(places=...)",
        )
    return replace(table, source=replace(source, folder=live / table.name))


def places_of(declared: Pipeline, home: Home, producers: Path) -> Mapping[str, Place]:
    """Return {table: place where its producer delivers}.

    If the pipeline declares `places`, its function is called with the folder `producers`, from
    which the places get their deliveries. Otherwise the places are the folders that the replaced
    sources read.
    """
    if declared.places is not None:
        return declared.places(producers, home.deliveries / declared.name)
    places: dict[str, Place] = {}
    for table, live in zip(declared.tables, relocated(declared, home).tables, strict=True):
        assert isinstance(table.source, DropFolder)
        assert isinstance(live.source, DropFolder)
        places[table.name] = FilePlace(table.source, live.source)
    return places
