"""Imports run one way, and what is heavy is imported where it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "src" / "headrace"
# A room may use the rooms before it, never one after it.
ORDER = [
    "errors files clock engine sql progress home zones plots links program",
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
    "online",
    "lineage",
    "alerts",
    "pipeline",
    "dagster",
    "scaffold",
    "simulation",
    "cli",
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms.split()}
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
)
# These are nothing but their library, and are themselves imported where a table is touched.
BEHIND_A_DOOR = {"lake/tables/fileio.py", "lake/tables/iceberg.py", "datasets/loaders/torch.py"}
# A released row is traced by the pipeline that made it, when somebody asks.
REACHES_UP = {("datasets/reader.py", "headrace.lineage.row_trace.trace")}


def modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def imported(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Dotted names of the modules that a file imports."""
    tree = ast.parse(path.read_text())
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


@pytest.mark.parametrize("path", modules(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_the_package_imports_one_way(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    assert room in RANK, f"{room} has no place in the order of rooms"
    for name in imported(path):
        parts = name.split(".")
        assert parts[0] not in {"pipelines", "assets", "tests", "bench"}, f"{path} imports {name}"
        if (str(path.relative_to(CORE)), name) in REACHES_UP:
            continue
        if parts[0] == "headrace" and len(parts) > 1 and parts[1] in RANK:
            assert RANK[parts[1]] <= RANK[room], f"{room} must not import {name}"
        if parts[0] == "dagster":
            assert room == "dagster", f"only headrace.dagster imports dagster, not {path}"


@pytest.mark.parametrize("path", modules(CORE), ids=lambda path: str(path.relative_to(CORE)))
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    allowed = {"dagster"} if room_of(path) == "dagster" else set()
    if str(path.relative_to(CORE)) in BEHIND_A_DOOR:
        return
    found = {name.split(".")[0] for name in imported(path, top_level_only=True)} & set(HEAVY)
    assert found <= allowed, f"{path} imports {found - allowed} when it loads"


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
