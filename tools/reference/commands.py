"""Page of the command line: every command of the Typer application, by group."""

import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar, get_args, get_origin

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from headrace.cli.app import app
from tools.reference.markdown import anchor, code, escaped, prose, table

HEAD = """\
This page lists every command and option, as `headrace COMMAND --help` prints them. Commands end
with one of four [exit codes](errors.md#exit-codes). Variables that commands read are listed under
[environment variables](environment.md). `-h` and `--help` print the help of any command or group.
"""
Command = TyperCommand | TyperGroup
Parameter = TyperArgument | TyperOption
P = TypeVar("P", TyperArgument, TyperOption)
VARIABLE = re.compile(r"\bHEADRACE_[A-Z_]+")
TYPES = {str: "text", int: "whole number", float: "number", bool: "flag", Path: "path"}


def page() -> str:
    """Return the page."""
    root = typer.main.get_command(app)
    groups = {"": root, **{name: group for name, group in _children(root) if _children(group)}}
    parts = ["# Command line", HEAD, _contents(groups)]
    parts += ["## `headrace`", escaped(str(root.help)), _options(root)]
    parts += [_command(name, command) for name, command in _children(root) if name not in groups]
    for name, group in groups.items():
        if name:
            parts += [f"## `headrace {name}`", prose(str(group.help))]
            parts += [_command(f"{name} {child}", command) for child, command in _children(group)]
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _children(group: Command) -> list[tuple[str, Command]]:
    children = getattr(group, "commands", {})
    return [(name, command) for name, command in children.items() if not command.hidden]


def _contents(groups: dict[str, Command]) -> str:
    rows = []
    for name, group in groups.items():
        commands = [child for child, _ in _children(group) if child not in groups or name]
        full = f"headrace {name}".strip()
        links = [f"[{child}](#{anchor(f'{full} {child}')})" for child in commands]
        rows.append((f"[`{full}`](#{anchor(full)})", ", ".join(links)))
    return table(("group", "commands"), rows)


def _command(name: str, command: Command) -> str:
    usage = " ".join(["headrace", name, *_usage(command)])
    parts = [f"### `headrace {name}`", prose(str(command.help or "")), f"```text\n{usage}\n```"]
    parts += [_arguments(command), _options(command)]
    return "\n\n".join(filter(None, parts))


def _usage(command: Command) -> Iterator[str]:
    for argument in _visible(command, TyperArgument):
        if argument.metavar:
            yield argument.metavar
            continue
        name = argument.name.rstrip("_").upper()
        yield f"{name}..." if argument.nargs != 1 else name if argument.required else f"[{name}]"
    options = _visible(command, TyperOption)
    yield from (f"{option.opts[0]} {_metavar(option)}" for option in options if option.required)
    if any(not option.required for option in options):
        yield "[OPTIONS]"
    if getattr(command, "pipeline_as_argument", False):
        yield "[PIPELINE]"


def _visible(command: Command, kind: type[P]) -> list[P]:
    return [each for each in command.params if isinstance(each, kind) and not each.hidden]


def _metavar(option: TyperOption) -> str:
    return str(option.metavar or option.name.upper())


def _arguments(command: Command) -> str:
    rows = [
        (code(argument.name.rstrip("_").upper()), *_described(argument))
        for argument in _visible(command, TyperArgument)
    ]
    return table(("argument", "type", "default", "meaning"), rows) if rows else ""


def _options(command: Command) -> str:
    rows = [
        (", ".join(map(code, (*option.opts, *option.secondary_opts))), *_described(option))
        for option in _visible(command, TyperOption)
    ]
    return table(("option", "type", "default", "meaning"), rows) if rows else ""


def _described(parameter: Parameter) -> tuple[str, str, str]:
    """Return type, default and meaning of a parameter."""
    variable = f" Environment variable: `{parameter.envvar}`." if parameter.envvar else ""
    default = "required" if parameter.required else _default(parameter)
    meaning = VARIABLE.sub(r"[`\g<0>`](environment.md)", escaped(parameter.help or ""))
    return _type(parameter), default, meaning + variable


def _type(parameter: Parameter) -> str:
    annotation = parameter.type_descriptor.annotation
    repeated = get_origin(annotation) is list
    kind = get_args(annotation)[0] if repeated else annotation
    if isinstance(kind, types.UnionType):
        kind = next(arm for arm in get_args(kind) if arm is not type(None))
    name = TYPES.get(kind, getattr(kind, "__name__", str(kind)))
    if get_origin(kind) is Literal:
        name = ", ".join(map(code, get_args(kind)))
    return f"{name}{_range(parameter)}{', repeatable' if repeated or parameter.nargs != 1 else ''}"


def _range(parameter: Parameter) -> str:
    if parameter.min is not None and parameter.max is not None:
        return f", {parameter.min} to {parameter.max}"
    if parameter.min is not None:
        return f", at least {parameter.min}"
    return f", at most {parameter.max}" if parameter.max is not None else ""


def _default(parameter: Parameter) -> str:
    default = parameter.default
    if isinstance(parameter, TyperOption) and parameter.secondary_opts:
        return code((parameter.opts if default else parameter.secondary_opts)[0])
    if default is None or default in (False, "", [], ()) or inspect.isroutine(default):
        return ""
    return code(str(default))
