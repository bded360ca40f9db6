"""Pages of the Python API: signatures and docstrings of the objects that users import."""

import ast
import importlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from inspect import cleandoc

from tools.reference.markdown import code, escaped, prose, table
from tools.reference.source import modules

WIDTH = 96
SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$")
ENTRY = re.compile(r"^    (\S[^:]*): (.*)$")
Node = ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True, eq=False)
class Definition:
    """Where the package defines an object."""

    module: str
    node: Node


@dataclass(frozen=True)
class Area:
    """Objects of one subject, on a page of their own.

    Attributes:
        objects: names by the module they are imported from; `*` is all that it exports.
        without: dotted names that are described under another name.
    """

    name: str
    title: str
    intro: str
    objects: dict[str, str]
    without: frozenset[str] = field(default_factory=frozenset)

    def listed(self) -> Iterator[tuple[str, str]]:
        """Yield module and name of each object."""
        for module, names in self.objects.items():
            exported = importlib.import_module(module).__all__ if names == "*" else names.split()
            for name in exported:
                if f"{module}.{name}" not in self.without:
                    yield module, name


AREAS = (
    Area("pipelines", "Pipelines and tables",
         "A pipeline is a name and its parts: tables, and any number of views, datasets, models "
         "and monitors. `PIPELINE` of a module that `pyproject.toml` names declares it; see "
         "[several datasets and models](../../how-to/several-datasets-and-models.md).",
         {"headrace.pipeline": "*", "headrace.models.retraining_config": "Retraining",
          "headrace.lake.table": "Table", "headrace.core.home": "Home project_root default_root",
          "headrace.core.clock": "duration iso parse_iso HOUR DAY"}),
    Area("sources", "Sources and streams",
         "A source turns files, tables or pages into deliveries; a stream turns events into them.",
         {"headrace.sources.files": "DropFolder", "headrace.sources.file_snapshots":
          "FileSnapshots", "headrace.sources.sql": "TableSnapshot", "headrace.sources.sql_changes":
          "TableChanges", "headrace.sources.http": "CursorApi", "headrace.sources.objects":
          "ParquetObjects", "headrace.streams": "Stream NatsSubject RedisStream KafkaTopic",
          "headrace.sources.base": "Source Delivery NoFiles IncompleteError",
          "headrace.sources.delivery_places": "Place FilePlace Form Put",
          "headrace.sources.parse": "read_rows", "headrace.sources.rows": "RawRows"}),
    Area("contracts", "Contracts",
         "A contract is a YAML file: see [contract file](../yaml-contract.md).",
         {"headrace.contracts": "*"}),
    Area("gates", "Gates",
         "A gate validates a batch against a suite, a YAML file: see "
         "[suite file](../yaml-suite.md).",
         {"headrace.gates": "*"}),
    Area("features", "Features",
         "Definitions of features, spines and labels, and the training sets computed from them. "
         "[Feature semantics](../feature-semantics.md) defines their exact meaning.",
         {"headrace.features": "*"}),
    Area("datasets", "Datasets",
         "Declaring, releasing and reading dataset versions. See "
         "[use a dataset](../../how-to/use-a-dataset.md).",
         {"headrace": "open", "headrace.datasets": "*", "headrace.datasets.governance.privacy":
          "Keep Drop Generalise Pseudonymise", "headrace.datasets.card": "load_card Statement"},
         frozenset({"headrace.datasets.open"})),
    Area("models", "Models",
         "Training on a release, evaluation, and the champion.", {"headrace.models": "*"}),
    Area("monitoring", "Monitoring",
         "Monitors, their policies and their decisions. A policy is a YAML file: see "
         "[monitors.yaml](../yaml-monitors.md).", {"headrace.monitoring": "*"}),
    Area("serving", "Serving and the online store",
         "Feature vectors for single requests, the log of served vectors, and the online store.",
         {"headrace.serving": "*", "headrace.serving.http": "Endpoint create_app",
          "headrace.serving.online": "*",
          "headrace.pipeline.serving.services": "materialise_online online_service"}),
    Area("lineage", "Lineage",
         "Tracing rows and rebuilding releases.",
         {"headrace.lineage.row_trace.release_trace": "trace",
          "headrace.lineage.rebuild": "rebuild"}),
    Area("verification", "Verification",
         "Tests that serving gives the same values as training, and that no feature depends on the "
         "future. [Verification](../../explanation/verification.md) describes the commands.",
         {"headrace.verification.leaks": "leaks LeakReport",
          "headrace.verification.parity": "parity"}),
    Area("dagster", "Dagster factories",
         "Assets, checks, jobs, schedules and sensors of a pipeline.", {"headrace.dagster": "*"}),
    Area("cluster", "Spark",
         "The same features on a cluster. See "
         "[compute on Spark](../../how-to/compute-on-spark.md).", {"headrace.cluster": "*"}),
)  # fmt: skip


def index_page() -> str:
    """Return the page that lists every object."""
    parts = ["# Python API", INTRO]
    for area in AREAS:
        rows = [
            (
                f"[`{name}`](python/{area.name}.md#{name.lower()})",
                code(module),
                _summary(found.node),
            )
            for module, name, found in described(area)
        ]
        parts += [f"## {area.title}", table(("name", "import from", "summary"), rows)]
    return "\n\n".join(parts)


def _link(area: Area, name: str) -> str:
    return f"[`{name}`](python/{area.name}.md#{name.lower()})"


INTRO = """\
Everything that pipelines and notebooks import, with the module to import it from. Names that are
not listed here are internal and may change. Errors are listed under [errors](errors.md)."""


def area_page(area: Area) -> str:
    """Return the page of one area."""
    parts = [f"# {area.title}", area.intro]
    for module, name, found in described(area):
        parts += [f"## {name}", f"`from {module} import {name}`", *_documented(found)]
    return "\n\n".join(filter(None, parts))


def described(area: Area) -> Iterator[tuple[str, str, Definition]]:
    """Yield module, name and definition of each object, once."""
    definitions = set()
    for module, name in area.listed():
        found = definition(module, name)
        if found not in definitions:
            definitions.add(found)
            yield module, name, found


@cache
def definition(module: str, name: str) -> Definition:
    """Return where an object is defined, following imports; LookupError if it is nowhere."""
    source = modules()[module]
    for node in source.tree.body:
        if isinstance(node, Node) and _defines(node, name):
            return Definition(module, node)
    if name in source.imports:
        return definition(*source.imports[name])
    origin = getattr(importlib.import_module(module), name).__module__
    if origin == module:
        raise LookupError(f"{module} does not define {name}")
    return definition(origin, name)


def _defines(node: Node, name: str) -> bool:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return node.name == name
    if isinstance(node, ast.AnnAssign):
        return isinstance(node.target, ast.Name) and node.target.id == name
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == name for target in node.targets
    )


def _summary(node: Node) -> str:
    text = _docstring(node) or _assigned_text(node)
    return escaped(re.split(r"\n\n|(?<=\.)\s", text, maxsplit=1)[0].replace("\n", " "))


def _docstring(node: Node) -> str:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return cleandoc(ast.get_docstring(node, clean=False) or "")
    return ""


def _assigned_text(node: Node) -> str:
    return f"`{_code(node)}`" if isinstance(node, ast.Assign | ast.AnnAssign) else ""


def _documented(found: Definition) -> Iterator[str]:
    node = found.node
    if isinstance(node, ast.ClassDef):
        yield from _class(node, found.module)
    elif isinstance(node, ast.FunctionDef):
        yield _block(_signature(node.name, node))
        yield documentation(_docstring(node))
    elif isinstance(node.value, ast.Subscript) and isinstance(node.value.slice, ast.Tuple):
        start = _code(node).partition("[")[0]
        yield _block(_folded(f"{start}[", [_code(each) for each in node.value.slice.elts], "]"))
    else:
        yield _block(_code(node))


def _class(node: ast.ClassDef, module: str) -> Iterator[str]:
    bases = [_code(base) for base in node.bases]
    hidden = [base for base in bases if base.startswith("_")]
    fields = [each for name in hidden for each in _fields(definition(module, name).node)]
    fields += _fields(node)
    if "dataclass" in "".join(map(_code, node.decorator_list)):
        yield _block(_folded(f"{node.name}(", [_field(each) for each in fields], ")"))
    elif init := next(_methods(node, only="__init__"), None):
        yield _block(_signature(node.name, init))
    text, attributes = _without_attributes(_docstring(node))
    yield documentation(text)
    if public := [code(base) for base in bases if base not in hidden]:
        yield f"Derives from {', '.join(public)}."
    yield from _fields_table(node, fields, attributes)
    for method in _methods(node):
        yield f"### {node.name}.{method.name}"
        yield _block(_attribute(method) or _signature(method.name, method))
        yield documentation(_docstring(method))


def _attribute(method: ast.FunctionDef) -> str:
    """Return a property as name and type; "" for a method."""
    if not any("property" in _code(each) for each in method.decorator_list):
        return ""
    return f"{method.name}: {_annotation(method.returns)}"


def _fields(node: Node) -> list[ast.AnnAssign]:
    """Return the public fields of a class."""
    body = node.body if isinstance(node, ast.ClassDef) else []
    return [
        each
        for each in body
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and not each.target.id.startswith("_")
        and "ClassVar" not in _code(each.annotation)
    ]


def _methods(node: ast.ClassDef, only: str = "") -> Iterator[ast.FunctionDef]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef):
            public = not each.name.startswith("_") and ast.get_docstring(each)
            if each.name == only or (public and not only):
                yield each


def _field(node: ast.AnnAssign) -> str:
    default = f" = {_default(node.value)}" if node.value else ""
    return f"{_code(node.target)}: {_annotation(node.annotation)}{default}"


def _default(node: ast.expr) -> str:
    """Return a default value; for a factory, the value that it makes."""
    text = _code(node)
    made = re.search(r"default_factory=(?:lambda: )?([\w.\[\], ]+|\{.*?\})[,)]", text)
    if text.startswith(("field(", "attribute(")):
        if made:
            return made[1] if made[1].startswith("{") else f"{made[1]}()"
        plain = re.search(r"default=([^,)]+)", text)
        return plain[1] if plain else "..."
    return text


def _fields_table(
    node: ast.ClassDef, fields: Sequence[ast.AnnAssign], attributes: dict[str, str]
) -> Iterator[str]:
    """Yield the meanings of the fields, from `Attributes:` or the text below each field."""
    texts = dict(attributes)
    for each, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(each, ast.AnnAssign) and each in fields and isinstance(below, ast.Expr):
            texts[_code(each.target)] = str(ast.literal_eval(below.value))
    if texts:
        yield table(
            ("attribute", "meaning"),
            [(code(name), escaped(" ".join(text.split()))) for name, text in texts.items()],
        )


def _signature(name: str, node: ast.FunctionDef) -> str:
    parts = list(_parameters(node.args))
    if parts and parts[0] in {"self", "cls"}:
        parts = parts[1:]
    returns = f" -> {_annotation(node.returns)}" if node.returns and name == node.name else ""
    return _folded(f"{name}(", parts, f"){returns}")


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    for argument, default in zip(positional, defaults, strict=True):
        yield _parameter(argument, default)
    if arguments.vararg:
        yield f"*{_parameter(arguments.vararg, None)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default)
    if arguments.kwarg:
        yield f"**{_parameter(arguments.kwarg, None)}"


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {_annotation(argument.annotation)}" if argument.annotation else ""
    equals = " = " if annotation else "="
    return f"{argument.arg}{annotation}{equals + _code(default) if default else ''}"


def _code(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if '"' in text else text.replace("'", '"')


def _annotation(node: ast.expr | None) -> str:
    """Return an annotation, without the quotes of a quoted one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return _code(node) if node else ""


def _folded(start: str, parts: Sequence[str], end: str) -> str:
    line = f"{start}{', '.join(parts)}{end}"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return "\n".join([start, *(f"    {part}," for part in parts), end])


def _block(text: str) -> str:
    return f"```python\n{text}\n```"


def documentation(docstring: str) -> str:
    """Return a docstring as Markdown; its sections become lists."""
    body, *sections = _sections(docstring)
    parts = [prose(body[1], "python")]
    parts += [f"**{title}**\n\n{_entries(text)}" for title, text in sections]
    return "\n\n".join(filter(None, parts))


def _sections(docstring: str) -> list[tuple[str, str]]:
    """Split a docstring into its body, under "", and its sections with their titles."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in docstring.split("\n"):
        if title := SECTION.match(line):
            sections.append((title[1], []))
        elif line and not line.startswith(" ") and sections[-1][0]:
            # Text that follows a section belongs to the body again.
            sections[0][1].extend(["", line])
            sections.append(("", sections[0][1]))
        else:
            sections[-1][1].append(line)
    titled = [(title, "\n".join(lines)) for title, lines in sections if title]
    return [("", "\n".join(sections[0][1])), *titled]


def _entries(text: str) -> str:
    entries = _named(text)
    if not entries:
        return escaped(" ".join(text.split()))
    return "\n".join(f"- `{name}`: {escaped(meaning)}" for name, meaning in entries.items())


def _named(text: str) -> dict[str, str]:
    """Return the entries `name: text` of a section; a longer indent continues one."""
    entries: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        if entry := ENTRY.match(line):
            name = entry[1]
            entries[name] = entry[2]
        elif name and line.strip():
            entries[name] += f" {line.strip()}"
    return entries


def _without_attributes(docstring: str) -> tuple[str, dict[str, str]]:
    """Return the docstring without its section `Attributes:`, and the entries of that."""
    lines, attributes = [], []
    inside = False
    for line in docstring.split("\n"):
        inside = line == "Attributes:" or (inside and (not line or line.startswith(" ")))
        (attributes if inside else lines).append(line)
    return "\n".join(lines).strip(), _named("\n".join(attributes[1:]))
