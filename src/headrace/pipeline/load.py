"""Loading of a project's pipelines, which `[tool.headrace]` in its pyproject.toml lists."""

import importlib
import re
import sys
import sysconfig
import tomllib
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from headrace.core.declarations.strict_yaml import Key, Keys
from headrace.core.errors import DeclarationError
from headrace.core.home import project_root
from headrace.lake.table import Table
from headrace.pipeline.definition import Pipeline

PACKAGE = Path(__file__).parents[1]
_PYTHON = sysconfig.get_path("stdlib")
SETTINGS = Keys((
    Key("pipelines", "list of modules", "Modules that define a `PIPELINE`.", required=True),
    Key("tables", "list of modules", "Modules that define `TABLES`: tables with a contract and "
        "a gate, but no model.", default="none"),
    Key("monitor_studies", "list of modules", "Modules with `histories()`: further histories for "
        "`headrace verify monitors`.", default="none"),
))  # fmt: skip


def load_pipeline(module: str) -> Pipeline:
    """Import a module and return its `PIPELINE`."""
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
    except DeclarationError as error:
        error.where = ", ".join(filter(None, (error.where, _declared_at(error))))
        raise
    pipeline = getattr(loaded, "PIPELINE", None)
    if not isinstance(pipeline, Pipeline):
        raise DeclarationError(
            f"{module} defines no PIPELINE",
            where=str(loaded.__file__),
            fix="PIPELINE = Pipeline(...)",
        )
    return pipeline


def _declared_at(error: DeclarationError) -> str:
    """Return the file and line of the project in which a declaration failed; "" if unknown.

    It is the innermost call outside Headrace. Nothing is added to an error that names a file.
    """
    if re.search(r"\.(py|ya?ml|csv|toml)\b", error.where):
        return ""
    calls = [
        call
        for call in traceback.extract_tb(error.__traceback__)
        if not call.filename.startswith("<") and PACKAGE not in Path(call.filename).parents
    ]
    outside = [call for call in calls if not call.filename.startswith(_PYTHON)]
    return f"{outside[-1].filename}:{outside[-1].lineno}" if outside else ""


def project_pipelines(root: Path | None = None) -> list[Pipeline]:
    """Load all pipelines of the project that contains `root` (default: the current folder)."""
    folder = project_root(root)
    names = pipeline_modules(folder)
    make_importable(folder)
    return [load_pipeline(name) for name in names]


def make_importable(folder: Path) -> None:
    """Add the project's folder to `sys.path`, so that its packages can be imported."""
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
    """Return the known settings in `[tool.headrace]` of the project's pyproject.toml."""
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
    """Return the tables of each pipeline, and of each module in `[tool.headrace] tables`, by name.

    The tables of such a module are validated, but no model is trained on them.
    """
    groups = {pipeline.name: pipeline.tables for pipeline in project_pipelines(root)}
    for module in _table_modules(root):
        groups[module.__name__.rpartition(".")[2]] = tuple(module.TABLES)
    return groups


def slots_of(group: str, table: Table) -> list[str]:
    """Return the partitions of a table in a group of `table_groups`, in order."""
    for pipeline in project_pipelines():
        if pipeline.name == group:
            return pipeline.slots_of(table)
    return table.expected_slots()


def other_tables(root: Path | None = None) -> list[Table]:
    """Return the tables of the modules in `[tool.headrace] tables`."""
    return [table for module in _table_modules(root) for table in module.TABLES]


def make_deliveries(root: Path | None = None) -> None:
    """Call `make_deliveries` of each module in `[tool.headrace] tables` that defines it."""
    for module in _table_modules(root):
        if hasattr(module, "make_deliveries"):
            module.make_deliveries()


def study_modules(root: Path | None = None) -> list[ModuleType]:
    """Import the modules in `[tool.headrace] monitor_studies`: more histories to test monitors on.

    Each defines `histories()`, and may define `peers(cases)`, which returns other detectors to
    compare with.
    """
    return _modules("monitor_studies", root)


def _table_modules(root: Path | None) -> list[ModuleType]:
    return _modules("tables", root)


def _modules(key: str, root: Path | None) -> list[ModuleType]:
    folder = project_root(root)
    make_importable(folder)
    return [importlib.import_module(str(name)) for name in _declared(folder).get(key, [])]
