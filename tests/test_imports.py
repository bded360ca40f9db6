"""Imports run one way, and what is heavy is imported where it is used."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from headrace.core.hooks import PROVIDERS, provided

ROOT = Path(__file__).parents[1]
CORE = ROOT / "src" / "headrace"
# A room may use the rooms before it, never one after it.
ORDER = [
    "core",
    "web",
    "sketches",
    "sources",
    "contracts",
    "gates",
    "lake",
    "streams",
    "features",
    "cluster",
    "datasets",
    "models",
    "monitoring",
    "serving",
    "alerts",
    "pipeline",
    "lineage",
    "retraining",
    "reports",
    "operations",
    "report_server",
    "dagster",
    "verification",
    "scaffold",
    "cli",
]
RANK = {room: rank for rank, room in enumerate(ORDER)}
# Rooms that import dagster: the factories, and the simulation, which runs the real daemon.
DAGSTER = {"dagster", "verification"}
HEAVY = (
    "dagster",
    "pyiceberg",
    "lightgbm",
    "great_expectations",
    "pandas",
    "pysail",
    "pyspark",
    "sqlalchemy",
    "requests",
    "fastapi",
    "uvicorn",
    "prometheus_client",
    "orjson",
    "apprise",
    "torch",
    "polars",
    "datasets",
    "obstore",
    "sklearn",
    "skops",
)
# These are nothing but their library, and are themselves imported where a table is touched.
BEHIND_A_DOOR = {"lake/tables/fileio.py", "lake/tables/iceberg.py", "datasets/loaders/torch.py"}


def modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


parsed = cache(lambda path: ast.parse(path.read_text()))


def imported(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Dotted names of the modules that a file imports."""
    tree = parsed(path)
    nodes = tree.body if top_level_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "headrace":
                names |= {f"headrace.{alias.name}" for alias in node.names}
    return names


def room_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def wrong_imports(path: Path) -> list[str]:
    """What a module of the package imports that its room may not."""
    room = room_of(path)
    if path.parent == CORE:
        return []
    if room not in RANK:
        return [f"{room} has no place in the order of rooms"]
    problems = []
    for name in imported(path):
        parts = name.split(".")
        if parts[0] in {"pipelines", "assets", "demo", "tests", "bench"}:
            problems.append(f"{path} imports {name}")
        if parts[0] == "headrace" and len(parts) > 1 and RANK.get(parts[1], 0) > RANK[room]:
            problems.append(f"{path}: {room} must not import {name}")
        if parts[0] == "dagster" and room not in DAGSTER:
            problems.append(f"{path} must not import dagster")
    return problems


def heavy_imports(path: Path) -> list[str]:
    """The heavy libraries that load with a module."""
    allowed = {"dagster"} if room_of(path) in DAGSTER else set()
    if str(path.relative_to(CORE)) in BEHIND_A_DOOR:
        return []
    names = {name.split(".")[0] for name in imported(path, top_level_only=True)} & set(HEAVY)
    return [f"{path} imports {name} when it loads" for name in names - allowed]


def test_the_package_imports_one_way() -> None:
    assert [problem for path in modules(CORE) for problem in wrong_imports(path)] == []


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    assert [problem for path in modules(CORE) for problem in heavy_imports(path)] == []


@pytest.mark.parametrize("path", modules(ROOT / "assets"), ids=lambda path: path.name)
def test_assets_do_not_know_pipelines(path: Path) -> None:
    assert not {name for name in imported(path) if name.split(".")[0] == "pipelines"}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import headrace", HEAVY),
        ("import headrace.cli", HEAVY),
        ("import headrace.gates, headrace.contracts", HEAVY),
    ],
)
def test_start_up_stays_light(statement: str, absent: tuple[str, ...]) -> None:
    """In a process of its own: what other tests imported does not count."""
    check = f"import sys; {statement}; print(*sorted(set({absent!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", PROVIDERS)
def test_functions_that_later_rooms_offer_exist(name: str) -> None:
    assert callable(provided(name))


def test_earlier_names_of_modules_are_found_and_say_the_new_one() -> None:
    """In a process of its own: modules stay imported."""
    check = (
        "import warnings, importlib\n"
        "from headrace._renamed import RENAMED\n"
        "for old, new in RENAMED.items():\n"
        "    with warnings.catch_warnings(record=True) as seen:\n"
        "        warnings.simplefilter('always')\n"
        "        module = importlib.import_module('headrace.' + old)\n"
        "    assert module is importlib.import_module('headrace.' + new), old\n"
        "    assert any(new in str(warning.message) for warning in seen), old\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT)


def test_production_does_not_know_the_simulator():
    """What a simulation needs of production it passes: settings, a home in virtual time, places."""
    aware = {
        str(path.relative_to(CORE))
        for path in modules(CORE)
        if "simulat" in path.read_text().lower()
        and path.relative_to(CORE).parts[0] not in {"verification", "cli", "scaffold"}
    }
    assert not aware


def test_faults_of_the_bank_share_nothing_with_the_detectors():
    """Else the gate would be measured with its own ideas of a fault."""
    drift, bank = CORE / "contracts" / "drift", CORE / "verification" / "gate_bank"
    for path in modules(drift):
        assert not {name for name in imported(path) if "verification" in name}
    for name in ("faults", "tables", "untuned_tables", "wheels"):
        names = imported(bank / f"{name}.py")
        own = {entry for entry in names if entry.startswith("headrace.")}
        allowed = ("headrace.core.", "headrace.verification.gate_bank.")
        assert not {e for e in own if not e.startswith(allowed)} - {"headrace.contracts"}, name
    assert "headrace.contracts" not in imported(bank / "faults.py")
