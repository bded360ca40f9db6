"""Python names and files on the pages exist, under their present names."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Decision records and the changelog say what was then.
PAGES = [
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "decisions"),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]
IMPORT = re.compile(r"^from (headrace[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)
FILES = re.compile(r"`((?:src|tests|bench|tools|assets)/[\w./-]+\.\w+)`")
QUESTION = re.compile(r"^\| [^|]*\*\*(\w+)\*\*[^|]* \| `([\w/]+\.py)` \| `(\w+)` \|$", re.MULTILINE)
QUESTIONS = QUESTION.findall((ROOT / "docs" / "contributing.md").read_text())


def imports(text: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of what the page's Python imports from the package."""
    for module, names in IMPORT.findall(text):
        for name in re.findall(r"\w+", names.partition("#")[0]):
            yield module, name


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_names_and_files_of_the_page_exist(page):
    text = page.read_text()
    for module, name in imports(text):
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
    for path in FILES.findall(text):
        assert (ROOT / path.rstrip(".")).exists(), path


@pytest.mark.parametrize(("word", "module", "name"), QUESTIONS)
def test_a_question_is_answered_by_a_module_with_its_word(word, module, name):
    assert word[:5].lower() in module
    tree = ast.parse((ROOT / "src" / "headrace" / module).read_text())
    assert name in {node.name for node in tree.body if hasattr(node, "name")}


def test_contributing_answers_twelve_questions():
    assert len(QUESTIONS) >= 12
