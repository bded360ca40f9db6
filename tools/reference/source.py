"""The package's source as syntax trees."""

import ast
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "headrace"


@dataclass(frozen=True, eq=False)
class Source:
    """One module of the package."""

    name: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """First folder or module below the package."""
        return self.name.removeprefix("headrace.").partition(".")[0]

    def constant(self, name: str) -> str | None:
        """Return the text of a module-level constant, also of an imported one."""
        if name in self.imports:
            module, original = self.imports[name]
            return modules()[module].constant(original)
        return self._constants.get(name)

    @cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """Modules of the package and names by the names under which they are imported."""
        return {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and node.module in modules()
            for alias in node.names
        }

    @cached_property
    def _constants(self) -> dict[str, str]:
        return {
            name: value.value
            for node in self.tree.body
            for name, value in _assignments(node)
            if isinstance(value, ast.Constant) and isinstance(value.value, str)
        }


def _assignments(node: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield names and values; `A, B = "a", "b"` is two of them."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id, node.value
    if not isinstance(node, ast.Assign):
        return
    for target in node.targets:
        if isinstance(target, ast.Name):
            yield target.id, node.value
        elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            for name, value in zip(target.elts, node.value.elts, strict=True):
                if isinstance(name, ast.Name):
                    yield name.id, value


@cache
def modules() -> dict[str, Source]:
    """Return every module of the package by its dotted name."""
    texts = {
        _dotted(path): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))
    }
    collecting = gc.isenabled()
    gc.disable()  # Trees have no cycles; looking for some takes longer than parsing.
    try:
        sources = {name: Source(name, text, ast.parse(text)) for name, text in texts.items()}
    finally:
        if collecting:
            gc.enable()
    gc.freeze()
    return sources


def _dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
