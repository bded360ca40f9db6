"""Figures of the source: size, vague names, doubled class names, openings of docstrings."""

import ast
import gc
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.house import words

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "headrace"

OPENING = re.compile(r"(What|Whether|Which|How|Where|When|Who|Whom|Somebody|Whoever|Why)\b")

# Participles, pronouns and verbs of everyday speech, which say nothing about a thing.
EVERYDAY = """
    one ones others own same some such there these those this that it them ours mine each every
    whole more most least alone again about here nothing which whose who whom whoever somebody
    found told tells telling tell said says saying given gives kept keeps known done seen named
    shown asked meant held holds taken left made wanted chosen judged gone lost moved altered
    stands stood got gotten had heard hears put puts tried thought looked brought
"""
VAGUE = frozenset(EVERYDAY.split())
# They do not make a vague word clearer: `other_one`, `left_out`, `told_of`.
FILLERS = {"other", "new", "old", "the", "back", "out", "off", "up", "of", "for", "all", "any"}
# Fair as the whole name only where the thing has no better one, so without a limit.
GENERIC = {"item", "items", "value", "values", "result", "results", "data"}
# Not of the author's choice, and not counted as bindings.
FIXED = {"self", "cls", "_"}

# Beside them, `left` is a side: of a join, a comparison, a picture.
SIDES = {"right", "self.right", "_right"}

SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)
# Nodes that bind a name, with the field that holds it.
BINDS = {
    ast.Name: "id",
    ast.Attribute: "attr",
    ast.arg: "arg",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
    ast.ClassDef: "name",
    ast.ExceptHandler: "name",
    ast.MatchAs: "name",
    ast.MatchStar: "name",
    ast.alias: "asname",
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Place(NamedTuple):
    """Name or phrase to improve, and where it is."""

    file: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.name}"


@dataclass
class Survey:
    """Figures of the package, with the places behind them."""

    files: dict[str, int] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    bindings: Counter[str] = field(default_factory=Counter)
    docstrings: int = 0
    generic: list[Place] = field(default_factory=list)
    vague: list[Place] = field(default_factory=list)
    duplicates: list[Place] = field(default_factory=list)
    openings: list[Place] = field(default_factory=list)
    exceptions: list[Place] = field(default_factory=list)
    phrases: dict[str, list[Place]] = field(default_factory=dict)

    def folders(self) -> Counter[str]:
        """Count the modules that lie side by side in each folder."""
        return Counter(
            str(Path(name).parent) for name in self.modules if not name.endswith("__init__.py")
        )

    def counts(self) -> dict[str, int]:
        """Count what has a limit."""
        return {
            "largest_folder": max(self.folders().values()),
            "vague": len(self.vague),
            "duplicates": len({place.name for place in self.duplicates}),
            "openings": len(self.openings),
            "exceptions": len(self.exceptions),
            **{f"words in {kind}": len(places) for kind, places in self.phrases.items()},
        }

    def places(self, limit: str) -> list[Place]:
        """Return what a limit counts."""
        if limit == "largest_folder":
            folder, count = self.folders().most_common(1)[0]
            return [Place(folder, 0, f"{count} modules")]
        kind = limit.removeprefix("words in ")
        return self.phrases[kind] if kind in self.phrases else getattr(self, kind)

    def as_json(self) -> dict[str, object]:
        """Return the figures of the report."""
        lines = {"product": 0, "verification": 0}
        for name, count in self.files.items():
            lines["verification" if proves(name) else "product"] += count
        sizes = [self.files[name] for name in self.modules]
        bindings = self.bindings.total()
        counts = self.counts()
        return {
            "lines": lines,
            "modules": len(self.modules),
            "largest_folder": counts["largest_folder"],
            "vague_bindings_share": round(len(self.vague) / bindings, 4),
            "duplicate_class_names": counts["duplicates"],
            "docstring_openings": len(self.openings),
            "file_median": median(sizes),
            "file_max": max(sizes),
            "import_exceptions": len(self.exceptions),
            "details": {
                "bindings": bindings,
                "vague_bindings": len(self.vague),
                "generic_bindings": len(self.generic),
                "docstrings": self.docstrings,
                "folders_over_15": {
                    folder: count for folder, count in self.folders().most_common() if count > 15
                },
                "vague_names": dict(Counter(place.name for place in self.vague).most_common(40)),
                "words": {kind: len(places) for kind, places in self.phrases.items()},
                "rooms": self.rooms(),
            },
        }

    def rooms(self) -> dict[str, dict[str, float]]:
        """Count the places of each first folder of the package."""
        by_room: dict[str, Counter[str]] = defaultdict(Counter)
        for name, count in self.bindings.items():
            by_room[room_of(name)]["bindings"] += count
        for name, count in self.files.items():
            by_room[room_of(name)]["lines"] += count
        kinds = {"vague": self.vague, "openings": self.openings, "duplicates": self.duplicates}
        kinds |= {kind: self.phrases[kind] for kind in ("docstrings", "messages", "templates")}
        for kind, places in kinds.items():
            for place in places:
                by_room[room_of(place.file)][kind] += 1
        return {room: dict(counts) for room, counts in sorted(by_room.items())}


def inside(name: str) -> str:
    """Return a path of the repository as one inside the package."""
    return name.removeprefix("src/headrace/")


def room_of(name: str) -> str:
    return inside(name).split("/")[0].removesuffix(".py")


def proves(name: str) -> bool:
    """Return whether a module belongs to verification."""
    return room_of(name) == "verification"


def is_vague(name: str) -> bool:
    """Return whether every word of a name is vague or a filler, and at least one is vague."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    lower = {part.lower() for part in parts}
    return bool(lower & VAGUE) and lower <= VAGUE | FILLERS


class Module:
    """Names, texts and definitions of one module, from one walk over its tree."""

    def __init__(self, tree: ast.Module) -> None:
        self.scopes: list[dict[str, int]] = []
        self.classes: list[ast.ClassDef] = []
        self.docstrings: list[ast.Constant] = []
        self.texts: list[ast.Constant] = []
        waiting: list[tuple[ast.AST, dict[str, int]]] = [(tree, self.scope())]
        while waiting:
            node, names = waiting.pop()
            kind = node.__class__
            if kind in BINDS:
                self.bind(node, names)
            if kind in DOCUMENTED:
                self.document(node)
            if kind is ast.Constant:
                if node.value.__class__ is str and " " in node.value:
                    self.texts.append(node)
                continue
            if kind is ast.ClassDef:
                self.classes.append(node)
            inner = self.scope() if kind in SCOPES else names
            for name in node._fields:
                child = getattr(node, name, None)
                if child.__class__ is list:
                    waiting.extend((part, inner) for part in child if isinstance(part, ast.AST))
                elif isinstance(child, ast.AST):
                    waiting.append((child, inner))

    def scope(self) -> dict[str, int]:
        """Open a scope: the names that it binds, each with its first line."""
        self.scopes.append({})
        return self.scopes[-1]

    def bind(self, node: ast.AST, names: dict[str, int]) -> None:
        name = getattr(node, BINDS[node.__class__])
        if isinstance(node, ast.Attribute):
            if not (isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"):
                return
            name = f"self.{name}"
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            return
        if name is not None:
            names[name] = min(node.lineno, names.get(name, node.lineno))

    def document(self, node: ast.AST) -> None:
        match node.body:
            case [ast.Expr(value=ast.Constant(value=str()) as literal), *_]:
                self.docstrings.append(literal)


def survey_module(survey: Survey, file: str, module: Module) -> None:
    """Add the names and texts of a module."""
    for names in module.scopes:
        for name, line in names.items():
            plain = name.removeprefix("self.")
            if plain in FIXED or plain.startswith("__"):
                continue
            survey.bindings[file] += 1
            # The sides of a join or of a comparison.
            if plain.strip("_").lower() == "left" and SIDES & {part.lower() for part in names}:
                continue
            if is_vague(plain):
                survey.vague.append(Place(file, line, plain))
            elif plain in GENERIC:
                survey.generic.append(Place(file, line, plain))
    survey.docstrings += len(module.docstrings)
    for literal in module.docstrings:
        if OPENING.match(literal.value):
            survey.openings.append(Place(file, literal.lineno, literal.value.split("\n")[0]))
    for literal in module.texts:
        kind = "docstrings" if literal in module.docstrings else "messages"
        for line, phrase in words.find(literal.value, literal.lineno):
            survey.phrases[kind].append(Place(file, line, phrase))


def import_exceptions(file: Path) -> list[Place]:
    """Return the entries of `REACHES_UP` in the test of imports."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "REACHES_UP":
            name = str(file.relative_to(ROOT))
            entries = getattr(node.value, "elts", getattr(node.value, "keys", []))
            return [Place(name, entry.lineno, ast.unparse(entry)) for entry in entries]
    return []


@cache
def survey() -> Survey:
    """Read the package and the documentation."""
    gc.disable()  # Trees have no cycles; looking for some takes longer than parsing.
    full = Survey(phrases={kind: [] for kind in ("docs", "docstrings", "messages", "templates")})
    classes: dict[str, list[Place]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        file = str(path.relative_to(ROOT))
        text = path.read_text()
        full.files[file] = text.count("\n")
        if path.name != "__init__.py" or text.strip():
            full.modules.append(file)
        module = Module(ast.parse(text))
        survey_module(full, file, module)
        for node in module.classes:
            classes[node.name].append(Place(file, node.lineno, node.name))
    for places in classes.values():
        if len({place.file for place in places}) > 1:
            full.duplicates.extend(places)
    for kind, folder, endings in (
        ("docs", ROOT / "docs", {".md"}),
        ("templates", PACKAGE, {".tmpl", ".html", ".j2", ".jinja"}),
    ):
        for path in sorted(folder.rglob("*")):
            if path.suffix in endings:
                file, text = str(path.relative_to(ROOT)), path.read_text()
                # Generated pages repeat docstrings and messages, which count where they are.
                if text.startswith("<!-- Generated"):
                    continue
                for line, phrase in words.find(text, 1):
                    full.phrases[kind].append(Place(file, line, phrase))
    full.exceptions = import_exceptions(ROOT / "tests" / "test_imports.py")
    full.vague.sort()
    gc.enable()
    return full
