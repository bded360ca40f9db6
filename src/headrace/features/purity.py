"""Detection of impure calls (clocks, random numbers, I/O) in a row transform's bytecode."""

import builtins
import datetime as dt
import dis
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

_CLOCKS = {"now", "utcnow", "today"}  # methods of date, datetime and subclasses such as pandas'
_MOMENTS = {"now", "today"}  # arguments of numpy.datetime64 that read the clock
# Modules with impure functions, and the functions of each that are pure.
_MODULES = {
    "random": set(), "secrets": set(), "numpy.random": set(), "socket": set(), "subprocess": set(),
    "time": {"gmtime", "strftime", "strptime"}, "uuid": {"uuid3", "uuid5"},
}  # fmt: skip
_FUNCTIONS = {
    "os.urandom", "os.getenv", "os.times", "os.getpid", "builtins.open", "builtins.input",
    "builtins.id", "builtins.hash", "pyarrow.compute.random",
}  # fmt: skip
_SAME_MODULE = {"posix": "os", "nt": "os", "io": "builtins", "_io": "builtins"}
_UNKNOWN = object()


def outside_reads(fn: Callable[..., Any]) -> list[str]:
    """Return the names of the impure functions that `fn` uses, directly or through its calls.

    Functions of installed packages are not inspected.
    """
    reads: dict[str, None] = {}
    _follow(fn, reads, set())
    return list(reads)


def _follow(fn: object, reads: dict[str, None], met: set[CodeType]) -> None:
    if not isinstance(fn, FunctionType) or fn.__code__ in met or _is_installed(fn):
        return
    cells = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)
    enclosed = {name: cell.cell_contents for name, cell in cells}
    _scan(fn.__code__, {**fn.__globals__, **enclosed}, reads, met)
    for default in (*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values()):
        _judge(default, reads, met)


def _is_installed(fn: FunctionType) -> bool:
    """Return True for the standard library and installed packages, Headrace included."""
    package, file = fn.__module__.partition(".")[0], fn.__code__.co_filename
    return package == "headrace" or package in sys.stdlib_module_names or "site-packages" in file


def _scan(
    code: CodeType, names: dict[str, Any], reads: dict[str, None], met: set[CodeType]
) -> None:
    met.add(code)
    local: dict[str, Any] = {}
    for value in _values_in(code, names, local):
        _judge(value, reads, met)
        if getattr(value, "__name__", "") == "datetime64" and _MOMENTS & set(code.co_consts):
            reads["numpy.datetime64('now')"] = None
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and inner not in met:
            _scan(inner, {**names, **local}, reads, met)


def _values_in(  # noqa: C901  # one branch for each kind of instruction
    code: CodeType, names: dict[str, Any], local: dict[str, Any]
) -> Iterator[Any]:
    """Yield the objects that global names, imports and attributes in the code refer to.

    Modules and classes that are assigned to local variables are added to `local`.
    """
    value: Any = _UNKNOWN  # object on top of the stack, if it is known
    parent: Any = _UNKNOWN  # module of the last import statement
    names_asked: object = None
    for step in dis.get_instructions(code):
        name, op = str(step.argval), step.opname
        if op == "LOAD_CONST":
            names_asked, value = step.argval, _UNKNOWN
        elif op == "IMPORT_NAME":
            value = parent = _imported(name if names_asked else name.partition(".")[0])
        elif op == "IMPORT_FROM":
            value = getattr(parent, name, _UNKNOWN)
            yield value
        elif op.startswith("STORE_"):
            if isinstance(value, ModuleType | type):
                local[name] = value
        elif op in {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"} or op.startswith("LOAD_FAST"):
            value = local.get(name, _UNKNOWN)
            if value is _UNKNOWN and not op.startswith("LOAD_FAST"):
                value = names.get(name, getattr(builtins, name, _UNKNOWN))
            yield value
        elif op in {"LOAD_ATTR", "LOAD_METHOD"} and isinstance(value, ModuleType | type):
            value = getattr(value, name, _UNKNOWN)
            yield value
        elif op not in {"CACHE", "NOP", "PUSH_NULL", "SWAP", "POP_TOP", "EXTENDED_ARG"}:
            value = _UNKNOWN


def _imported(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ImportError:
        return _UNKNOWN


def _judge(value: object, reads: dict[str, None], met: set[CodeType]) -> None:
    name = _outside(value)
    if name is None:
        _follow(value, reads, met)
    else:
        reads[name] = None


def _outside(value: object) -> str | None:
    """Return the name of an impure function or object; None for everything else."""
    if value is os.environ:
        return "os.environ"
    if isinstance(value, ModuleType | type) or not callable(value):
        return None
    name = str(getattr(value, "__qualname__", ""))
    owner = getattr(value, "__self__", None)
    if isinstance(owner, type):
        is_clock = issubclass(owner, dt.date) and name.rpartition(".")[2] in _CLOCKS
        return f"{owner.__name__}.{name.rpartition('.')[2]}" if is_clock else None
    if isinstance(owner, ModuleType):
        module = owner.__name__
    elif owner is not None:
        module = type(owner).__module__
    else:
        module = str(getattr(value, "__module__", ""))
    module = _SAME_MODULE.get(module, module)
    parts = module.split(".")
    for prefix in (parts[0], ".".join(parts[:2])):
        if prefix in _MODULES and name not in _MODULES[prefix]:
            return f"{prefix}.{name.rpartition('.')[2]}"
    full = f"{module}.{name}"
    return full if full in _FUNCTIONS else None
