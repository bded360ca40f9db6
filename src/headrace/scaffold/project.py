"""`headrace new project|pipeline|source`: creation of their files from one CSV file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.core.home import project_root
from headrace.scaffold import code
from headrace.scaffold.answers import Ask, check_name
from headrace.scaffold.contract import known_after
from headrace.scaffold.deliveries import deliveries, sample
from headrace.scaffold.drafts import drafted
from headrace.scaffold.files import add_location, add_pipeline_module, add_table, write_new
from headrace.scaffold.inspection.facts import Facts
from headrace.scaffold.inspection.file_inspection import look
from headrace.scaffold.label_rehearsal import labelled
from headrace.scaffold.origin import own_requirement
from headrace.scaffold.pipeline_choices import Choices, choose, derived_columns
from headrace.scaffold.suite import draft_suite
from headrace.scaffold.templates import fill

_WORKSPACE = (
    "# One code location per pipeline: they load, fail and reload independently.\nload_from:\n"
)
Files = dict[str, str | bytes]


@dataclass(frozen=True)
class ScaffoldResult:
    """Result of a `headrace new` command: written paths (relative to `root`), choices and notes."""

    root: Path
    written: tuple[str, ...]
    decided: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "root": str(self.root),
            "written": list(self.written),
            "decided": dict(self.decided),
            "notes": list(self.notes),
        }


def new_project(name: str, ask: Ask, parent: Path, *, tables_only: bool = False) -> ScaffoldResult:
    """Create a project in the folder `name` under `parent`, with one pipeline of that name.

    With `tables_only`, the pipeline has a table, and no features, dataset, model or monitor.

    Raises:
        DeclarationError: if the file cannot be used, or a file to write exists already.
    """
    check_name(name, "project", "headrace new project shop")
    facts, choices = _drafted(ask, name, tables_only=tables_only)
    rows = None if choices is None else labelled(facts, choices)
    files = {
        **_project_files(name, tables_only=tables_only),
        **_pipeline_files(name, facts, choices),
    }
    root = parent / name
    write_new(root, files)
    return ScaffoldResult(root, tuple(files), decided(facts, choices, rows), notes_on(facts))


def new_pipeline(name: str, ask: Ask, start: Path, *, tables_only: bool = False) -> ScaffoldResult:
    """Add a pipeline to the project that contains `start`; see `new_project`."""
    check_name(name, "pipeline", "headrace new pipeline shop")
    root = project_of(start)
    check_new(root, ask.table_name)
    facts, choices = _drafted(ask, name, tables_only=tables_only)
    rows = None if choices is None else labelled(facts, choices)
    files = _pipeline_files(name, facts, choices)
    write_new(root, files)
    notes = [*notes_on(facts)]
    if not add_pipeline_module(root, f"pipelines.{name}"):
        notes.append(f'pyproject.toml: add "pipelines.{name}" to [tool.headrace] pipelines')
    block = fill("location.yaml", name=name)
    if not add_location(root, block, name):
        notes.append(f"workspace.yaml: add under load_from:\n{block}")
    return ScaffoldResult(root, tuple(files), decided(facts, choices, rows), tuple(notes))


def new_source(ask: Ask, pipeline: str | None, start: Path) -> ScaffoldResult:
    """Add a table to a pipeline of the project that contains `start`."""
    root = project_of(start)
    check_new(root, ask.table_name)
    folder = pipeline_folder(root, pipeline)
    facts = drafted(look(ask), folder.name, [code.dataset_name(folder.name)])
    files = _table_files(folder.name, facts, [column.name for column in facts.look.entity])
    write_new(root, files)
    entry = code.table_entry(ask, every_day=False)
    notes = [*notes_on(facts)]
    if not add_table(folder / "__init__.py", entry):
        notes.append(f"{folder.relative_to(root)}/__init__.py: add to tables:\n    {entry}")
    notes.append(
        f"features.py: use the table, as in {code.view_hint(facts)}. Days outside FIRST_DAY to "
        "LAST_DAY in __init__.py are ignored; every_day=True there reports missing days."
    )
    return ScaffoldResult(root, tuple(files), decided(facts, None), tuple(notes))


def project_of(start: Path) -> Path:
    root = project_root(start)
    if not (root / "pyproject.toml").exists():
        raise DeclarationError(
            "this folder is not inside a project",
            where=str(start),
            fix="change to the project's folder, or make one: headrace new project --help",
        )
    return root


def check_new(root: Path, table: str) -> None:
    """Raise if any pipeline of the project has this table: table names are unique in a project."""
    for path in sorted((root / "pipelines").glob(f"*/contracts/{table}.yaml")):
        raise DeclarationError(
            f"there is a table {table!r} already",
            where=str(path.relative_to(root)),
            fix="choose another name: --table NAME, or headrace new source NAME",
        )


def pipeline_folder(root: Path, name: str | None) -> Path:
    folders = sorted(path.parent for path in (root / "pipelines").glob("*/__init__.py"))
    matches = [folder for folder in folders if name in {None, folder.name}]
    if len(matches) != 1:
        raise DeclarationError(
            f"no pipeline {name!r}" if name else f"{len(folders)} pipelines to choose from",
            where=str(root / "pipelines"),
            fix=f"--pipeline, one of: {', '.join(folder.name for folder in folders) or 'none yet'}",
        )
    return matches[0]


def _drafted(ask: Ask, name: str, *, tables_only: bool) -> tuple[Facts, Choices | None]:
    """Return the facts on the file and, unless the pipeline has tables only, the choices."""
    if ask.kind != "event" or ask.snapshot:
        raise DeclarationError(
            "a pipeline starts from events, delivered over time",
            where=f"--kind {ask.kind}" + (" --snapshot" if ask.snapshot else ""),
            fix="start with the events, then add this file: headrace new source --help",
        )
    if tables_only:
        return drafted(look(ask), name), None
    facts = drafted(look(ask), name, [code.dataset_name(name)], derived_columns)
    return facts, choose(facts)


def _project_files(name: str, *, tables_only: bool) -> Files:
    placeholders = {"name": name}
    return {
        "pyproject.toml": fill("pyproject.toml", **placeholders),
        "workspace.yaml": f"{_WORKSPACE}{fill('location.yaml', name=name)}",
        "policy.yaml": fill("policy.yaml"),
        "alerts.yaml": fill("alerts.yaml"),
        "README.md": fill("tables_README.md" if tables_only else "README.md", **placeholders),
        "Makefile": fill("Makefile", **placeholders),
        "requirements.txt": fill("requirements.txt", headrace=own_requirement()),
        ".gitignore": fill("gitignore", **placeholders),
        ".github/workflows/ci.yml": fill("ci.yml", **placeholders),
        "pipelines/__init__.py": "",
    }


def _pipeline_files(name: str, facts: Facts, choices: Choices | None) -> Files:
    folder = f"pipelines/{name}"
    if choices is None:
        return _tables_only(name, folder, facts)
    placeholders = code.values(name, facts, choices)
    modules = ("__init__", "definitions", "sources", "features", "dataset", "model", "monitors")
    tests = ("conftest", "test_contracts", "test_parity", "test_leaks")
    return {
        **{
            f"{folder}/{module}.py": fill(f"pipeline_{module}.py", **placeholders)
            for module in modules
        },
        f"{folder}/monitors.yaml": fill("monitors.yaml", **placeholders),
        **{f"tests/{name}/{test}.py": fill(f"{test}.py", **placeholders) for test in tests},
        **_table_files(name, facts, choices.entity),
    }


def _tables_only(name: str, folder: str, facts: Facts) -> Files:
    placeholders = code.table_values(name, facts)
    modules = {
        "__init__": "tables___init__",
        "definitions": "pipeline_definitions",
        "sources": "pipeline_sources",
    }
    tests = ("conftest", "test_contracts")
    return {
        **{
            f"{folder}/{module}.py": fill(f"{template}.py", **placeholders)
            for module, template in modules.items()
        },
        **{f"tests/{name}/{test}.py": fill(f"{test}.py", **placeholders) for test in tests},
        **_table_files(name, facts, [column.name for column in facts.look.entity]),
    }


def _table_files(pipeline: str, facts: Facts, entity: "list[str] | tuple[str, ...]") -> Files:
    table = facts.look.ask.table_name
    dropped = {f"deliveries/{table}/{n}": data for n, data in deliveries(facts).items()}
    return {**gate_files(pipeline, facts, entity), **dropped}


def gate_files(pipeline: str, facts: Facts, entity: "list[str] | tuple[str, ...]") -> Files:
    """Return {path: content} of the contract, the suite and the sample for tests."""
    table = facts.look.ask.table_name
    return {
        f"pipelines/{pipeline}/contracts/{table}.yaml": facts.contract_text,
        f"quality_suites/{pipeline}/{table}.yaml": draft_suite(facts, pipeline),
        f"tests/{pipeline}/sample/{table}.csv": sample(facts, entity),
    }


def decided(
    facts: Facts, choices: Choices | None, rows: Mapping[str, int] | None = None
) -> dict[str, Any]:
    ask = facts.look.ask
    decided: dict[str, Any] = {
        "table": ask.table_name,
        "rows": facts.table.num_rows,
        "days": len(facts.days),
        "first_day": facts.days[0],
        "last_day": facts.days[-1],
        "key": [column.name for column in facts.look.key],
        "time": ask.time,
        "known": ask.known_at or _availability(facts),
    }
    if choices is not None:
        decided |= {
            "entity": list(choices.entity),
            "target": choices.target,
            "windows": list(choices.windows),
            "horizon": choices.horizon,
            "train_until": choices.train_until,
            "valid_until": choices.valid_until,
            "labelled": dict(rows or {}),
        }
    return decided


def _availability(facts: Facts) -> str:
    lag = known_after(facts.look, facts.delays)
    if not facts.delays.later:
        return f"{lag} after their time"
    names = ", ".join(later.column.header for later in facts.delays.later)
    return f"{lag} after the latest of their time and {names}"


def notes_on(facts: Facts) -> tuple[str, ...]:
    notes = []
    if facts.undated:
        lines = ", ".join(map(str, facts.undated[:5]))
        notes.append(
            f"rows without a readable time, now in undated.csv: {len(facts.undated)}"
            f" (lines {lines})"
        )
    if facts.look.ask.known_after is None and facts.look.ask.known_at is None:
        notes.append(
            f"assumed that rows are usable {_availability(facts)}: see knownAt in the contract"
        )
    if facts.look.found_time:
        notes.append(
            f"assumed that {facts.look.ask.time} is the event time; --time names another column"
        )
    if facts.look.personal:
        names = ", ".join(sorted(facts.look.personal))
        notes.append(f"personal columns, with fake values in the sample for tests: {names}")
    return tuple(notes)
