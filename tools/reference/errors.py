"""Pages of the errors: classes with exit codes and statuses, and messages by area."""

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from inspect import cleandoc
from pathlib import Path

from headrace.cli.output import BLOCKED, BROKEN, MISUSED, OK, exit_code
from headrace.core.declarations.strict_yaml import parse_document
from headrace.core.errors import HeadraceError
from headrace.core.permissions import POLICY
from headrace.serving.http.errors import status_of
from tools.reference.markdown import code, escaped, table
from tools.reference.source import Source, modules

HEAD = """\
# Errors

Every error says what is wrong, where, and how to fix it. A command prints the error to standard
error and ends with an exit code. In Python, the error is an exception of `headrace.core.errors`
with the attributes `what`, `where` and `fix`. For example, a misspelled key in `policy.yaml` gives:

```text
{example}
```

[Error messages](error-messages.md) lists the messages of each area with their fix.

## Exit codes

{codes}

[Exit codes](exit-codes.md) lists the exit code of each command for each state. A command that
crashes prints a traceback and ends with {broken}.

## Classes

Each class is listed below its base class. To handle an error in your code, catch its class, because
messages may change.

{classes}

## Statuses of the HTTP service

`headrace serve` answers a refused request with `{{"error": {{"what", "where", "fix"}}}}`. If a
field is faulty, the error also has `field`, and `request`, the position of the request in the body.

{statuses}
"""
CODES = {
    OK: "The command succeeded, and everything that it examined is in order.",
    BLOCKED: "The command did its work and found something that a person should look at: a blocked "
    "or pending batch, a failed step, an open investigation, a difference, a taint.",
    MISUSED: "The input or a declaration was refused. Nothing was changed.",
    BROKEN: "Stored state, a source or the environment is broken, or Headrace crashed.",
}
STATUSES = {
    400: "The body is incomplete or not JSON.",
    401: "The API key is missing or wrong.",
    404: "There is no such address, or the endpoint has no model.",
    409: "The features have another definition than the request or the model expects.",
    413: "The body is too long, or has too many requests.",
    422: "A request does not fit the columns of the spine.",
    500: "The server failed; its log says why.",
    503: "The service cannot answer now: stored state is missing, stale or damaged.",
}


def page() -> str:
    """Return the page of error classes."""
    try:
        parse_document("version: 1\nprincipal: {}\n", Path("policy.yaml")).entries(POLICY)
    except HeadraceError as error:
        example = f"error: {error}"
    codes = [(code(str(number)), meaning) for number, meaning in CODES.items()]
    statuses = [(code(str(number)), STATUSES[number]) for number in sorted(used_statuses())]
    return HEAD.format(
        example=example,
        codes=table(("code", "meaning"), codes),
        broken=code(str(BROKEN)),
        classes=table(("class", "derives from", "exit code", "meaning"), map(_class, classes())),
        statuses=table(("status", "meaning"), statuses),
    )


def _class(kind: type[HeadraceError]) -> tuple[str, str, str, str]:
    return (
        code(f"{kind.__module__}.{kind.__name__}"),
        code(kind.__bases__[0].__name__),
        code(str(exit_code(kind.__new__(kind)))),
        escaped(cleandoc(kind.__doc__ or "").replace("\n\n", " ")),
    )


@cache
def classes() -> tuple[type[HeadraceError], ...]:
    """Return every error class, each listed below its base class."""
    known = {"HeadraceError": "headrace.core.errors"}
    while added := {
        node.name: source.name
        for source in modules().values()
        for node in source.tree.body
        if isinstance(node, ast.ClassDef) and node.name not in known
        if any(isinstance(base, ast.Name) and base.id in known for base in node.bases)
    }:
        known |= added
    for name in sorted(set(known.values())):
        importlib.import_module(name)
    return tuple(_below(HeadraceError))


def _below(kind: type[HeadraceError]) -> Iterator[type[HeadraceError]]:
    yield kind
    own = (child for child in kind.__subclasses__() if child.__module__.startswith("headrace."))
    for child in sorted(own, key=lambda each: each.__name__):
        yield from _below(child)


def used_statuses() -> set[int]:
    """Return the statuses that the HTTP service can answer with."""
    fixed = {
        call.args[0].value
        for source in modules().values()
        if "HttpError" in source.text
        for call in ast.walk(source.tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "HttpError"
        if isinstance(call.args[0], ast.Constant)
    }
    http = {kind for kind in classes() if kind.__name__ == "HttpError"}
    return {int(str(number)) for number in fixed} | {
        status_of(kind.__new__(kind)) for kind in classes() if kind not in http
    }


def messages_page() -> str:
    """Return the page of messages."""
    parts = [MESSAGES_HEAD]
    for area, rows in sorted(messages().items()):
        shown = [
            tuple(map(escaped, row)) for row in sorted(rows, key=lambda row: (row[0].lower(), row))
        ]
        parts += [f"## {area}", table(("message", "where", "fix"), shown)]
    return "\n\n".join(parts)


MESSAGES_HEAD = """\
# Error messages

This page lists the messages of each area of the package, with their place and fix if these are
constant texts. `…` stands for a text that depends on the case. Messages that are composed of
several parts at run time are not listed. [Errors](errors.md) explains classes and exit codes."""
# Not the name of a variable: readers do not know it, and it changes without the message.
GAP = "…"
LEAST_LETTERS = 6  # of a message, without its gaps


@cache
def messages() -> dict[str, set[tuple[str, str, str]]]:
    """Return what, where and fix of the errors that the source raises, by area."""
    areas: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    names = {kind.__name__ for kind in classes()}
    for source in modules().values():
        if "rror(" not in source.text:
            continue
        for function in ast.walk(source.tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            for call in _own_nodes(function):
                if isinstance(call, ast.Call) and _builds_error(call, names):
                    areas[source.room] |= set(_texts(source, function, call))
    return areas


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of functions inside it."""
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, ast.FunctionDef):
            pending.extend(ast.iter_child_nodes(node))


def _builds_error(call: ast.Call, names: set[str]) -> bool:
    if isinstance(call.func, ast.Name):
        return call.func.id in names
    return isinstance(call.func, ast.Attribute) and call.func.attr == "error" and bool(call.args)


def _texts(
    source: Source, function: ast.FunctionDef, call: ast.Call
) -> Iterator[tuple[str, str, str]]:
    """Yield what, where and fix of an error; none if its message is not known."""
    arguments = {word.arg: word.value for word in call.keywords}
    positional = [each for each in call.args if not isinstance(each, ast.Constant) or
                  isinstance(each.value, str)]  # fmt: skip
    for name, argument in zip(("what", "fix"), positional, strict=False):
        arguments.setdefault(name, argument)
    whats = _templates(source, function, arguments.get("what"))
    fixes = _templates(source, function, arguments.get("fix"))
    wheres = _templates(source, function, arguments.get("where"))
    where = wheres[0] if wheres and not wheres[0].startswith(GAP) else ""
    paired = len(fixes) == len(whats)
    for number, what in enumerate(whats):
        if sum(map(str.isalpha, what)) < LEAST_LETTERS:
            continue
        yield what, where, fixes[number if paired else 0] if fixes else ""


def _templates(source: Source, function: ast.FunctionDef, node: ast.expr | None) -> list[str]:
    """Return the texts that an expression can give; a name, those it is assigned."""
    if isinstance(node, ast.Name):
        if constant := source.constant(node.id):
            return [constant]
        values = [
            value
            for statement in _own_nodes(function)
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            for value in _assigned(target, statement.value, node.id)
        ]
        return [text for value in values if (text := _template(value))]
    if isinstance(node, ast.IfExp):
        arms = (node.body, node.orelse)
        return [text for arm in arms for text in _templates(source, function, arm)]
    text = _template(node) if node is not None else ""
    return [text] if text else []


def _assigned(target: ast.expr, value: ast.expr, name: str) -> Iterator[ast.expr]:
    if isinstance(target, ast.Name) and target.id == name:
        yield value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for part, inner in zip(target.elts, value.elts, strict=False):
            yield from _assigned(part, inner, name)


def _template(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_part, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _template(node.left) + _template(node.right)
    return ""


def _part(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else GAP
