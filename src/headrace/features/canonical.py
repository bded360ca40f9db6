"""Canonical form of a feature definition, and its hash.

Two declarations with the same canonical form have the same meaning. The form contains everything
that affects a feature's values: durations in microseconds, filter values as stored, types and
scales of the columns used, the source code of a transform's functions, and the time-zone table if a
transform uses one.
"""

import inspect
import textwrap
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeAlias

from headrace.core.clock import duration
from headrace.core.errors import DeclarationError
from headrace.core.files import digest, sha256
from headrace.features.kernel.filters import stored_value
from headrace.features.output_types import default_values, request_defaults
from headrace.features.spec import (
    SEMANTICS_VERSION,
    Aggregate,
    FeatureView,
    Filter,
    Label,
    Lookup,
    RowTransform,
    Scalar,
    Spine,
    View,
    conditions,
)
from headrace.features.table_shapes import Contracts, TableShape, shape_for, shapes_of

Definition = FeatureView | Lookup | RowTransform | Spine | Label


def canonical(definition: Definition, contracts: Contracts) -> dict[str, Any]:
    """Return the canonical form of a definition, made of JSON values only."""
    if isinstance(definition, RowTransform):
        return _transform(definition)
    where = f"{type(definition).__name__} on {definition.table}"
    shape = shape_for(shapes_of(contracts), definition.table, where)
    if isinstance(definition, FeatureView):
        return _view(definition, shape)
    if isinstance(definition, Lookup):
        return _lookup(definition, shape)
    return _spine(definition, shape) if isinstance(definition, Spine) else _label(definition, shape)


def definition_hash(definition: Definition, contracts: Contracts) -> str:
    """Return the sha256 of the canonical form and the semantics version."""
    return digest({"semantics": SEMANTICS_VERSION, "definition": canonical(definition, contracts)})


# Key of the spine's hash. No view can have this name, because names have no parentheses.
SPINE = "(spine)"


def definition_hashes(spine: Spine, views: Sequence[View], contracts: Contracts) -> dict[str, str]:
    """Return the hashes of the views and the spine by name, as releases and models store them."""
    hashes = {view.name: definition_hash(view, contracts) for view in views}
    return {**hashes, SPINE: definition_hash(spine, contracts)}


def _table(shape: TableShape, columns: Sequence[str | None]) -> dict[str, Any]:
    used = sorted({c for c in (*shape.primary_key, shape.sequence, *columns) if c})
    return {
        "name": shape.name,
        "kind": shape.kind,
        "primary_key": list(shape.primary_key),
        "sequence": shape.sequence,
        "times": shape.times,
        "columns": {name: shape.column(name, f"table {shape.name}").canonical() for name in used},
    }


def _view(view: FeatureView, shape: TableShape) -> dict[str, Any]:
    filtered = [c.column for feature in view.features for c in conditions(feature.where)]
    columns = [column for feature in view.features for column in feature.columns]
    return {
        "type": "view",
        "name": view.name,
        "table": _table(shape, [*view.entity, *columns, *filtered]),
        "entity": [list(pair) for pair in zip(view.entity, view.spine_entity, strict=True)],
        "features": {feature.name: _feature(feature, shape) for feature in view.features},
    }


def _feature(feature: Aggregate, shape: TableShape) -> dict[str, Any]:
    form: dict[str, Any] = {
        "op": feature.op,
        "column": feature.column,
        "window_us": [feature.window.a, feature.window.b],
        "where": _filter(feature.where, shape),
    }
    # A field is in the form only if it is used, so that older definitions keep their hashes.
    if feature.op == "last_row":
        form["columns"] = sorted(feature.columns)
    return form | _defaults(feature, feature.names, shape)


def _defaults(
    feature: Aggregate | Lookup, names: Sequence[str], shape: TableShape
) -> dict[str, dict[str, Scalar]]:
    """Return the declared defaults of the outputs under the key `default`; {} if there are none."""
    values = zip(names, default_values(feature, shape), strict=True)
    defaults = {name: value for name, value in values if value is not None}
    return {"default": defaults} if defaults else {}


def _filter(where: Filter, shape: TableShape) -> list[list[Any]]:
    """Return the conditions, sorted, because their order does not matter: all must hold."""
    forms = []
    for condition in conditions(where):
        column = shape.column(condition.column, f"a filter on {shape.name}")
        many = condition.value if isinstance(condition.value, tuple) else (condition.value,)
        stored = {stored_value(value, column.type, column.scale) for value in many}
        forms.append([condition.column, condition.op, sorted(stored, key=repr)])
    return sorted(forms, key=repr)


def _lookup(lookup: Lookup, shape: TableShape) -> dict[str, Any]:
    defaults = _defaults(lookup, lookup.columns, shape)
    return defaults | {
        "type": "lookup",
        "name": lookup.name,
        "table": _table(shape, [*lookup.entity, *lookup.columns]),
        "entity": [list(pair) for pair in zip(lookup.entity, lookup.spine_entity, strict=True)],
        "columns": list(lookup.columns),
        "max_age_us": None if lookup.max_age is None else duration(lookup.max_age),
    }


def _spine(spine: Spine, shape: TableShape) -> dict[str, Any]:
    defaults = {"defaults": request_defaults(spine, shape)} if spine.defaults else {}
    return defaults | {
        "type": "spine",
        "table": _table(shape, spine.columns),
        "offset_us": spine.offset,
        "columns": list(spine.columns),
    }


def _label(label: Label, shape: TableShape) -> dict[str, Any]:
    return {
        "type": "label",
        "name": label.name,
        "table": _table(shape, [*label.key, *label.columns, label.status]),
        "entity": [list(pair) for pair in zip(label.key, label.spine_key, strict=True)],
        "columns": list(label.columns),
        "horizon_us": duration(label.horizon),
        "settle_us": duration(label.settle),
        "status": label.status,
        "excluded": sorted(label.excluded),
    }


def _transform(transform: RowTransform) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    _collect(transform.fn, parts, {}, f"row transform {transform.name}")
    return {
        "type": "transform",
        "name": transform.name,
        "inputs": list(transform.inputs),
        "dtype": transform.dtype,
        "code": parts,
    }


# Former names of moved modules. Hashes use the former name, so that moving a module does not change
# the hash of the features that use it.
_HASHED_AS = {
    **{
        f"headrace.core.{module}": f"headrace.{module}"
        for module in ("clock", "errors", "files", "home", "sql", "progress")
    },
    "headrace.core.time_zones": "headrace.zones",
    "headrace.core.compute": "headrace.engine",
    "headrace.features.kernel.arrays": "headrace.features.arrays",
    "headrace.features.kernel.calendar": "headrace.features.calendar",
    "headrace.features.kernel.filters": "headrace.features.filters",
    "headrace.features.kernel.rounding": "headrace.features.rounding",
}

# Functions collected so far, with their names in the canonical form.
Met: TypeAlias = dict[FunctionType, str]


def _collect(fn: Callable[..., Any], parts: dict[str, Any], met: Met, where: str) -> str:
    """Add the source hash of `fn`, and of everything that it uses, to `parts`.

    For functions and classes outside the project of `fn`, only the name is added. Functions with
    the same name, such as two lambdas, are distinguished by a number.

    Returns:
        The name of `fn` in the canonical form.
    """
    if not isinstance(fn, FunctionType):
        raise DeclarationError(
            f"{fn!r} has no source to hash", where=where, fix="use a function written in a module"
        )
    if fn in met:
        return met[fn]
    name = f"{_hashed_as(fn.__module__)}.{fn.__qualname__}"
    namesakes = sum(other.partition("#")[0] == name for other in met.values())
    name = f"{name}#{namesakes + 1}" if namesakes else name
    met[fn] = name
    try:
        # `__code__`: for a decorated function, getsource(fn) would return the inner function.
        source = textwrap.dedent(inspect.getsource(fn.__code__))
    except OSError as error:
        raise DeclarationError(
            f"the source of {name} cannot be read",
            where=where,
            fix="define the function in a module file, not in a shell",
        ) from error
    parts[name] = sha256((source + _place_in(source, fn)).encode())
    for variable, value in sorted(_surroundings(fn).items()):
        known_as = _collect_value(f"{name}:{variable}", value, fn, parts, met, where)
        if known_as and known_as.rpartition(".")[2] != variable:
            parts[f"{name}:{variable}"] = known_as
    if "headrace.zones" in str(sorted(parts)):
        from headrace.core.time_zones import zones_hash

        parts["time zones"] = zones_hash()
    return name


def _place_in(source: str, fn: FunctionType) -> str:
    """Return the column where a lambda starts, to distinguish the lambdas of one statement.

    Empty if `fn` is not a lambda, or is the only lambda in `source`.
    """
    if fn.__name__ != "<lambda>" or source.count("lambda") < 2:
        return ""
    columns = [column for *_, column, _ in fn.__code__.co_positions() if column]
    return f"@{min(columns, default=0)}"


def _surroundings(fn: FunctionType) -> dict[str, object]:
    """Return the global and enclosing variables that `fn` reads, and its default arguments."""
    names = _names_in(fn.__code__)
    variables: dict[str, object] = {n: v for n, v in fn.__globals__.items() if n in names}
    variables |= inspect.getclosurevars(fn).nonlocals
    if fn.__defaults__:
        variables["(defaults)"] = fn.__defaults__
    return variables | {f"({name})": value for name, value in (fn.__kwdefaults__ or {}).items()}


def _names_in(code: CodeType) -> set[str]:
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*map(_names_in, inner))


def _collect_value(  # noqa: PLR0917
    name: str, value: object, fn: FunctionType, parts: dict[str, Any], met: Met, where: str
) -> str | None:
    """Add the value of a variable to `parts`.

    Returns:
        The name in the canonical form, if the value is a function or a class of another project.
    """
    if isinstance(value, ModuleType) and _is_own(value.__name__, fn):
        raise DeclarationError(
            f"it reads from the module {value.__name__}, whose contents the hash does not cover",
            where=where,
            fix="import the functions and constants it uses by name",
        )
    if isinstance(value, ModuleType):
        parts[name] = f"module {_hashed_as(value.__name__)}"
        parts[_hashed_as(value.__name__)] = "module"
    elif isinstance(value, FunctionType) and _belongs(value, fn):
        return _collect(value, parts, met, where)
    elif isinstance(value, type) and _is_own(value.__module__, fn):
        parts[name] = sha256(textwrap.dedent(inspect.getsource(value)).encode())
    elif isinstance(value, FunctionType | type):
        outside = f"{_hashed_as(value.__module__)}.{value.__qualname__}"
        parts[outside] = "outside"
        return outside
    elif isinstance(value, CodeType) or not _is_constant(value):
        raise DeclarationError(
            f"it uses {name.rpartition(':')[2]!r}, which cannot be hashed: {type(value).__name__}",
            where=where,
            fix="use constants (numbers, texts, tuples of them), functions and modules only",
        )
    else:
        parts[name] = repr(value)
    return None


def _hashed_as(module: str) -> str:
    return _HASHED_AS.get(module, module)


def _belongs(value: FunctionType, fn: FunctionType) -> bool:
    same_module = value.__module__ == fn.__module__ or _is_own(value.__module__, fn)
    return same_module or value.__module__.startswith("headrace.features.")


def _is_own(module: str, fn: FunctionType) -> bool:
    """Return True if the module is in the same project as `fn`; False for Headrace itself."""
    project = fn.__module__.partition(".")[0]
    return project != "headrace" and module.partition(".")[0] == project


def _is_constant(value: object) -> bool:
    if isinstance(value, tuple):
        return all(_is_constant(part) for part in value)
    return value is None or isinstance(value, str | int | float | bool | bytes)
