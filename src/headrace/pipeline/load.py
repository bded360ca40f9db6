"""Find the pipelines of a project: `[tool.headrace] pipelines` in its pyproject.toml."""

import importlib
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

from headrace.core.declarations.strict_yaml import Key, Keys
from headrace.core.errors import DeclarationError
from headrace.core.home import project_root
from headrace.lake.table import Table
from headrace.pipeline.definition import Pipeline

SETTINGS = Keys((
    Key("pipelines", "list of modules", "Modules that define a `PIPELINE`.", required=True),
    Key("tables", "list of modules", "Modules that define `TABLES` alone: tables with a contract "
        "and a gate, and no model.", default="none"),
    Key("monitor_studies", "list of modules", "Modules with `histories()`: further histories for "
        "`headrace verify monitors`.", default="none"),
))  # fmt: skip


def load_pipeline(module: str) -> Pipeline:
    """Return the `PIPELINE` of an importable module."""
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise DeclarationError(
            f"there is no module {module!r}",
            where="[tool.headrace] pipelines in pyproject.toml",
            fix="name an importable package, and start from the project's folder",
        ) from error
    pipeline = getattr(loaded, "PIPELINE", None)
    if not isinstance(pipeline, Pipeline):
        raise DeclarationError(
            f"{module} defines no PIPELINE",
            where=str(loaded.__file__),
            fix="PIPELINE = Pipeline(...)",
        )
    return pipeline


def project_pipelines(root: Path | None = None) -> list[Pipeline]:
    """Return all pipelines of the project that `root`, or the current folder, belongs to."""
    folder = project_root(root)
    names = pipeline_modules(folder)
    make_importable(folder)
    return [load_pipeline(name) for name in names]


def make_importable(folder: Path) -> None:
    """A project's own packages can be imported, also by the installed `headrace`."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def pipeline_modules(folder: Path) -> list[str]:
    file = folder / "pyproject.toml"
    if not file.exists():
        raise DeclarationError(
            "this folder is not inside a Headrace project",
            where=str(folder),
            fix="change to the project's folder, or make one: headrace new project NAME",
        )
    names = _declared(folder).get("pipelines", [])
    if not names:
        raise DeclarationError(
            "no pipelines are declared",
            where=str(file),
            fix='add [tool.headrace] pipelines = ["pipelines.<name>"]',
        )
    return [str(name) for name in names]


def _declared(folder: Path) -> dict[str, Any]:
    """`[tool.headrace]` of the project."""
    file = folder / "pyproject.toml"
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeclarationError(
            f"not valid TOML: {error}", where=str(file), fix="correct the file at this place"
        ) from error
    settings: dict[str, Any] = document.get("tool", {}).get("headrace", {})
    return {key: settings[key] for key in SETTINGS.names if key in settings}


def table_groups(root: Path | None = None) -> dict[str, tuple[Table, ...]]:
    """The tables of each pipeline by its name, and those of modules with `TABLES` alone.

    The latter are declared as `[tool.headrace] tables`: sources that the gate is measured on, and
    that no model is made of.
    """
    groups = {pipeline.name: pipeline.tables for pipeline in project_pipelines(root)}
    for module in _table_modules(root):
        groups[module.__name__.rpartition(".")[2]] = tuple(module.TABLES)
    return groups


def slots_of(group: str, table: Table) -> list[str]:
    """Return the partitions of a table of a group, in order."""
    for pipeline in project_pipelines():
        if pipeline.name == group:
            return pipeline.slots_of(table)
    return table.expected_slots()


def other_tables(root: Path | None = None) -> list[Table]:
    """The tables of modules with `TABLES` alone."""
    return [table for module in _table_modules(root) for table in module.TABLES]


def make_deliveries(root: Path | None = None) -> None:
    """Fetch what the modules with `TABLES` alone need, where they say how."""
    for module in _table_modules(root):
        if hasattr(module, "make_deliveries"):
            module.make_deliveries()


def study_modules(root: Path | None = None) -> list[ModuleType]:
    """The modules of `[tool.headrace] monitor_studies`: further histories to try monitors on.

    Each has `histories()`, and `peers(cases)` where it has others to compare with.
    """
    return _modules("monitor_studies", root)


def _table_modules(root: Path | None) -> list[ModuleType]:
    return _modules("tables", root)


def _modules(key: str, root: Path | None) -> list[ModuleType]:
    folder = project_root(root)
    make_importable(folder)
    return [importlib.import_module(str(name)) for name in _declared(folder).get(key, [])]
