"""The generated reference is current, complete, and what other pages name is on it."""

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import typer

from headrace.cli.app import app
from headrace.contracts.keys import KINDS, UNUSED
from headrace.features import Mode
from headrace.gates import Verdict
from headrace.lake.ledger.partition_state import State
from headrace.monitoring import Action as Decided
from headrace.monitoring import Cause
from tools.reference import environment, errors, files, pages, python_api
from tools.reference.source import modules

ROOT = Path(__file__).parents[2]
TEXTS = sorted(
    path
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "decisions" not in path.parts and not path.read_text().startswith(pages.GENERATED)
)
# Modules that demonstrations use and that are not for pipelines of others.
INTERNAL = {"headrace.core.errors", "headrace.core.files", "headrace.core.progress"}
PROJECT = sorted(
    [
        *(ROOT / "assets").glob("*.py"),
        *(ROOT / "pipelines").glob("*/*.py"),
        *(ROOT / "src/headrace/scaffold/templates").glob("*.py.tmpl"),
    ]
)


def test_the_pages_are_what_the_generator_writes():
    assert pages.stale() == [], "run: python -m tools.reference"


def test_a_changed_and_an_orphaned_page_are_stale(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    monkeypatch.setattr(pages, "PAGES", {"a.md": lambda: "# A", "b.md": lambda: "# B"})
    pages.write()
    assert pages.stale() == []
    (tmp_path / "a.md").write_text("# A")
    (tmp_path / "c.md").write_text(f"{pages.GENERATED}\n")
    (tmp_path / "by-hand.md").write_text("# By hand")
    assert pages.stale() == ["a.md", "c.md"]
    pages.write()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.md", "b.md", "by-hand.md"]


def test_a_variable_that_is_not_described_fails(monkeypatch):
    first, *others = environment.GROUPS
    fewer = replace(first, variables=first.variables[1:])
    monkeypatch.setattr(environment, "GROUPS", (fewer, *others))
    with pytest.raises(ValueError, match=first.variables[0].name):
        environment.page()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_variables_of_other_pages_are_described(path):
    described = {each.name for group in environment.GROUPS for each in group.variables}
    assert set(re.findall(r"\bHEADRACE_[A-Z_]+\b", path.read_text())) <= described


@cache
def commands() -> typer.core.TyperGroup:
    return typer.main.get_command(app)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_commands_of_other_pages_exist(path):
    root = commands()
    code = re.findall(r"```.*?```|`[^`\n]+`", path.read_text(), re.DOTALL)
    for words in re.findall(r"(?<![\w./-])headrace((?: [a-z][a-z-]*)+)", "\n".join(code)):
        command = root
        for word in words.split():
            children = getattr(command, "commands", None)
            if children is None:
                break
            assert word in children, f"headrace{words}"
            command = children[word]


@pytest.mark.parametrize("path", [*TEXTS, *PROJECT], ids=lambda path: path.name)
def test_names_that_projects_import_are_described(path):
    described = {
        node
        for area in python_api.AREAS
        for module, name in area.listed()
        for node in [python_api.definition(module, name)]
    }
    for module, name in _imports(path):
        assert python_api.definition(module, name) in described, f"{module}.{name}"


def _imports(path: Path) -> Iterator[tuple[str, str]]:
    text = path.read_text()
    if path.suffix == ".md":
        text = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    for statement in re.findall(
        r"^ *from headrace\.[\w.]+ import (?:\([^)$]*\)|[^\n($]+)", text, re.MULTILINE
    ):
        node = ast.parse(statement.strip()).body[0]
        assert isinstance(node, ast.ImportFrom)
        if node.module not in INTERNAL:
            for alias in node.names:
                if f"{node.module}.{alias.name}" not in modules():
                    yield str(node.module), alias.name


def test_every_function_and_class_of_the_api_is_explained():
    for area in python_api.AREAS:
        for module, name, found in python_api.described(area):
            if isinstance(found.node, ast.ClassDef | ast.FunctionDef):
                assert ast.get_docstring(found.node), f"{module}.{name}"


def test_every_class_of_errors_has_an_exit_code_and_messages():
    page = errors.page()
    assert all(f".{kind.__name__}`" in page for kind in errors.classes())
    listed = {what for rows in errors.messages().values() for what, _, _ in rows}
    assert "the table has no columns" in listed
    assert "… is not a version" in listed
    assert len(listed) > 700


def test_glossary_defines_each_word_once_and_every_state():
    text = (ROOT / "docs/reference/glossary.md").read_text()
    words = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    words = [word for word in words if word not in {"term", "word", "---"}]
    assert sorted(words) == sorted(set(words))
    single = {part.strip(" `") for word in words for part in word.split(",")}
    meanings = set(re.findall(r"[\w-]+", text))
    assert {verdict.value for verdict in Verdict} <= single
    assert {*KINDS, *get_args(State)} - {"failed", "not_expected"} <= {*single, "published"}
    assert {*get_args(Mode), *get_args(Cause), *get_args(Decided)} <= meanings


def test_every_key_of_a_reader_is_on_a_page():
    text = "\n".join(page() for page in files.PAGES.values())
    lines = text.replace("[duration](project-files.md#values)", "duration").split("\n")
    tables = {
        (source.name, target.id): getattr(importlib.import_module(source.name), target.id)
        for source in modules().values()
        for node in source.tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("Keys(")
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert len(tables) > 20
    for place, keys in tables.items():
        for key in keys:
            start = f"| `{key.name}` | {key.form} |"
            shown = any(line.startswith(start) and key.meaning in line for line in lines)
            unused = key.meaning == UNUSED and any(f"`{key.name}`" in line for line in lines)
            assert shown or unused, (place, key.name)


def test_readers_take_their_keys_from_tables():
    literal = [
        (source.name, node.lineno)
        for source in modules().values()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in {"mapping", "properties"}
        if any(isinstance(each, ast.Tuple) and each.elts for each in node.args)
    ]
    assert literal == [], (
        "describe the keys in a table: headrace.core.declarations.strict_yaml.Keys"
    )
