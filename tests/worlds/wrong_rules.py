"""Rules that are easily got wrong, planted in the engine one by one."""

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np


@dataclass(frozen=True)
class Edit:
    """Text of a module of the package, and what stands there instead."""

    module: str
    right: str
    wrong: str


@dataclass(frozen=True)
class Wrong:
    """A wrong rule; `path` names the way through the engine on which it must show."""

    path: str
    edits: tuple[Edit, ...]


def wrong(path: str, *edits: str) -> Wrong:
    return Wrong(path, tuple(Edit(*edits[i : i + 3]) for i in range(0, len(edits), 3)))


RULES = {
    # known-at, sequence, content
    "known-at plays no part among versions": wrong(
        "numpy", "features.kernel.visibility",
        "np.lexsort((sequence, known_at[rows], keys[rows]))", "np.lexsort((sequence, keys[rows]))",
    ),
    "sequence plays no part among versions": wrong(
        "numpy", "features.kernel.visibility",
        "np.lexsort((sequence, known_at[rows], keys[rows]))",
        "np.lexsort((known_at[rows], keys[rows]))",
    ),
    "sequence plays no part among events": wrong(
        "numpy", "features.kernel.visibility",
        "np.lexsort((keys[rows], sequence[rows], e[rows]))", "np.lexsort((keys[rows], e[rows]))",
    ),
    "content plays no part among conflicts of before": wrong(
        "legacy", "features.kernel.visibility",
        "sorted(range(len(tied)), key=cells.__getitem__)", "list(range(len(tied)))",
    ),
    "tombstones are dropped before versions are resolved": wrong(
        "numpy", "features.kernel.visibility",
        "x = superseded(shape, table, keys,",
        "x = superseded(shape, table, np.where(alive(table), keys, -1 - np.arange(len(keys))),",
    ),
    "rows without an entity are filtered before versions are resolved": wrong(
        "numpy", "features.kernel.visibility",
        "x = superseded(shape, table, keys,",
        "x = superseded(shape, table, np.where(table['who'].is_valid(), keys, -1 - np.arange("
        "len(keys))),",
    ),
    "versions are resolved for each entity": wrong(
        "numpy", "features.kernel.visibility",
        "x = superseded(shape, table, keys,",
        "x = superseded(shape, table, key_ranks([table['id'], table['who'].fill_null('')]),",
    ),
    "modes are exchanged": wrong(
        "numpy",
        "features.kernel.visibility",
        'return times(table, "committed_at", f"table {shape.name}") if mode == "recorded"',
        'return times(table, "committed_at", f"table {shape.name}") if mode == "declared"',
    ),
    "a table takes both rows of a conflict, and the greater bytes win": wrong(
        "lake", "lake.conflicts.check", "if not clashing:", "if True:"
    ),
    "of a micro-batch the greater bytes stay": wrong(
        "lake", "lake.conflicts.resolve",
        "(row.batch, row.line))", "(row.batch, -row.content))",
    ),
    "a row that came back was never there before": wrong(
        "lake",
        "features.kernel.visibility",
        'shown_before(table, known_at) if mode == "recorded" else None',
        "None",
    ),
    # windows and states
    "an event at the window's end counts": wrong(
        "numpy", "features.kernel.kernel", "np.maximum(k, e - b + 1)", "np.maximum(k, e - b)"
    ),
    "an event at the window's start does not count": wrong(
        "numpy", "features.kernel.kernel", "np.minimum(x, e - a + 1)", "np.minimum(x, e - a)"
    ),
    "a state expires at max_age": wrong(
        "numpy", "features.kernel.kernel", "e + max_age + 1", "e + max_age"
    ),
    # values
    "last takes a null": wrong(
        "numpy", "features.kernel.kernel",
        "joined.select(feature.window, feature.where, feature.column)",
        'joined.select(feature.window, feature.where, None if feature.op == "last" else '
        "feature.column)",
    ),
    "distinct counts null": wrong(
        "numpy", "features.kernel.kernel",
        "joined.select(feature.window, feature.where, feature.column)",
        'joined.select(feature.window, feature.where, None if feature.op == "distinct" else '
        "feature.column)",
        "features.kernel.distinct",
        "fill_null(-1)", "fill_null(len(encoded.dictionary))",
    ),
    "mean is divided twice": wrong(
        "numpy", "features.kernel.rounding", "/ _times(n, 10**scale)", "/ n / power(scale)"
    ),
    "std is of the population": wrong(
        "numpy", "features.kernel.rounding", "pairs = n * (n - 1)", "pairs = n * n"
    ),
    "squares are bounded one by one": wrong(
        "numpy", "features.kernel.kernel",
        "len(q) * largest * largest < 2**63", "largest**2 < 2**63",
    ),
    "halves are rounded up at ingestion": wrong(
        "typing", "contracts.typed_cells",
        'round_mode="half_to_even"', 'round_mode="half_towards_infinity"',
    ),
    # the greatest number of events
    "a window may not hold maxEvents": wrong(
        "numpy", "features.kernel.kernel",
        "self.select(window).n > self._limit", "self.select(window).n >= self._limit",
        "features.kernel.kernel",
        "int(np.bincount(self.codes).max()) > limit", "True",
        "features.kernel.kernel",
        "len(self.codes) > limit", "len(self.codes) > 0",
    ),
    "a default stands for too many events": wrong(
        "numpy", "features.frames.training_frame",
        "~output.ok if output.overfull is None else ~(output.ok | output.overfull)", "~output.ok",
    ),
    "the store knows no maxEvents": wrong(
        "compiled store", "serving.online.kernel.compiled",
        "inside.shape[0] > line[_LIMIT]", "False",
    ),
    "the plain answerer knows no maxEvents": wrong(
        "plain store", "serving.online.kernel.plain", "len(inside) > line[LIMIT]", "False"
    ),
    # parts and stores
    "equal keys ascend from batch to batch": wrong(
        "out of core", "features.frames.out_of_core", "int(keys[0]) > last", "int(keys[0]) >= last"
    ),
    "a tile holds the event at the window's end": wrong(
        "compiled store", "serving.online.kernel.compiled",
        "first[j] < lo or last[j] >= hi", "first[j] < lo or last[j] > hi",
    ),
    "a tile is used before all its versions are known": wrong(
        "compiled store", "serving.online.entity_records",
        "np.maximum(np.maximum(records[:, K], records[:, E]), np.where(x == NEVER, MIN_WORD, x))",
        "records[:, E]",
    ),
    "the compiled answerer's products may be twice as great": wrong(
        "compiled store", "serving.online.kernel.compiled", "< 9.0e18", "< 1.8e19"
    ),
    "a row that comes again takes its later commit": wrong(
        "store afterwards", "serving.online.versions",
        "earliest[name][COMMIT] > row[COMMIT]", "earliest[name][COMMIT] < row[COMMIT]",
    ),
    "a key is forgotten a microsecond early": wrong(
        "thinned store", "serving.online.store_metadata",
        "rows[:, ROW_E] + reach + 1 <= self.retained", "rows[:, ROW_E] + reach <= self.retained",
    ),
}  # fmt: skip

# Where each was first seen; any other world will do as well.
SEEDS = {
    "a row that came back was never there before": 21,
    "a table takes both rows of a conflict, and the greater bytes win": 1,
    "of a micro-batch the greater bytes stay": 6,
    "sequence plays no part among versions": 16,
    "last takes a null": 22,
    "mean is divided twice": 173,
    "std is of the population": 11,
    "squares are bounded one by one": 16,
    "a default stands for too many events": 8,
    "a tile holds the event at the window's end": 70,
    "the compiled answerer's products may be twice as great": 226,
    "a row that comes again takes its later commit": 50,
    "a key is forgotten a microsecond early": 51,
}


@contextmanager
def planted(rule: Wrong) -> Iterator[None]:
    """Let the package follow the wrong rule. Compiled modules run as plain Python meanwhile."""
    with ExitStack() as stack:
        for edit in rule.edits:
            module = importlib.import_module(f"headrace.{edit.module}")
            whole = "njit" in vars(module)
            for owner, name, made in (_module if whole else _function)(module, edit):
                stack.enter_context(_instead(owner, name, made))
        # Wrong numbers wrap and have no root; that is no news here.
        stack.enter_context(np.errstate(all="ignore"))
        yield


@contextmanager
def _instead(owner: Any, name: str, made: Any) -> Iterator[None]:
    """Replace a function wherever the package imported it."""
    old = vars(owner)[name]
    with ExitStack() as stack:
        stack.enter_context(patch.object(owner, name, made))
        for module in list(sys.modules.values()):
            if module.__name__.startswith(("headrace.", "tests.worlds.")):
                for other, value in list(vars(module).items()):
                    if value is old:
                        stack.enter_context(patch.object(module, other, made))
        yield


def _function(module: ModuleType, edit: Edit) -> Iterator[tuple[Any, str, Any]]:
    """The function or method that holds the text, made anew with the other."""
    text = Path(inspect.getfile(module)).read_text()
    found = []
    for node in ast.parse(text).body:
        owner = vars(module)[node.name] if isinstance(node, ast.ClassDef) else module
        for part in node.body if isinstance(node, ast.ClassDef) else [node]:
            lines = text.splitlines()[part.lineno - 1 - len(getattr(part, "decorator_list", ())):
                                      part.end_lineno]  # fmt: skip
            if isinstance(part, ast.FunctionDef) and edit.right in "\n".join(lines):
                found.append((owner, part.name, textwrap.dedent("\n".join(lines))))
    assert len(found) == 1, f"{len(found)} functions of {module.__name__} hold {edit.right!r}"
    owner, name, source = found[0]
    space: dict[str, Any] = {}
    exec(compile(source.replace(edit.right, edit.wrong), f"<{name}>", "exec"),
         vars(module), space)  # fmt: skip
    if hasattr(space[name], "__set_name__"):
        space[name].__set_name__(owner, name)
    yield owner, name, space[name]


def _module(module: ModuleType, edit: Edit) -> Iterator[tuple[Any, str, Any]]:
    """All functions of a module of compiled ones, which hold on to one another."""
    import numba

    text = Path(inspect.getfile(module)).read_text()
    assert text.count(edit.right) == 1, f"{module.__name__} does not hold {edit.right!r} once"
    made = ModuleType(module.__name__)
    with patch.object(numba.config, "DISABLE_JIT", True):
        exec(compile(text.replace(edit.right, edit.wrong), f"<{module.__name__}>", "exec"),
             vars(made))  # fmt: skip
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            yield module, node.name, vars(made)[node.name]
