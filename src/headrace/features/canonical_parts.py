"""Canonical forms taken apart: one entry per feature, of named parts that can be told in words."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from headrace.core.clock import duration_text

Form: TypeAlias = Mapping[str, Any]
Parts: TypeAlias = dict[str, Any]

_DURATIONS = {
    "max_age_us": "max age",
    "offset_us": "offset from the event",
    "horizon_us": "horizon",
    "settle_us": "settle time",
}
_PLAIN = ("type", "inputs", "dtype", "status", "excluded")


def parts_by_feature(forms: Sequence[Form]) -> dict[str, Parts]:
    """{feature: parts}: each output of a view or lookup, each transform, the spine, the label."""
    return {name: parts for form in forms for name, parts in _features(form)}


def _features(form: Form) -> Iterator[tuple[str, Parts]]:
    name = str(form.get("name", "(spine)"))
    if form["type"] == "view":
        for feature, own in form["features"].items():
            yield from _of_view(name, form, feature, own)
    elif form["type"] == "lookup":
        for column in form["columns"]:
            own = {"column": column, "default": form.get("default", {}).get(column)}
            yield f"{name}__{column}", {**own, **_shared(form, [column])}
    elif form["type"] == "transform":
        code = {f"code of {what}": text for what, text in form["code"].items()}
        yield name, {**_own_parts(form), **code}
    else:
        columns = [*form["columns"], *([form["status"]] if form.get("status") else [])]
        own = {"columns": form["columns"], "defaults": form.get("defaults")}
        yield name, {**own, **_shared(form, columns)}


def _of_view(view: str, form: Form, feature: str, own: Form) -> Iterator[tuple[str, Parts]]:
    filtered = [row[0] for row in own["where"]]
    scales = {name: column["scale"] for name, column in form["table"]["columns"].items()}
    columns = own.get("columns", [own["column"]])
    for column in columns:
        name = f"{feature}_{column}" if "columns" in own else feature
        yield (
            f"{view}__{name}",
            {
                "operation": own["op"],
                "column": column,
                "window": own["window_us"],
                "filter": [[*row, scales[row[0]]] for row in own["where"]],
                "default": own.get("default", {}).get(name),
                **_shared(form, [column, *filtered]),
            },
        )


def _shared(form: Form, used: Sequence[str | None]) -> Parts:
    """What a feature has of its view and table: only of the columns that it uses."""
    table = form["table"]
    entity = [pair[0] for pair in form.get("entity", [])]
    fixed = [*table["primary_key"], *([table["sequence"]] if table["sequence"] else []), *entity]
    columns = {name: table["columns"][name] for name in (*fixed, *used) if name is not None}
    of_columns = {
        f"{what} of {name}": column[what]
        for name, column in columns.items()
        for what in ("type", "scale", "meaning")
    }
    return {
        "table": table["name"],
        "kind of table": table["kind"],
        "primary key": table["primary_key"],
        "sequence": table["sequence"],
        "times": table["times"],
        "entity": form.get("entity"),
        **_own_parts(form),
        **of_columns,
    }


def _own_parts(form: Form) -> Parts:
    found: Parts = {name: form[name] for name in _PLAIN if name in form}
    found |= {words: form[name] for name, words in _DURATIONS.items() if name in form}
    return found


def told(part: str, value: Any) -> str:  # noqa: ANN401 - any JSON value
    """A part's value in words."""
    if value is None or value == []:
        return "none"
    if part in _WORDS:
        return _WORDS[part](value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _bound(us: int) -> str:
    return "0s" if us == 0 else ("-" if us < 0 else "") + duration_text(abs(us))


def _condition(row: Sequence[Any]) -> str:
    column, test, values, scale = row
    shown = [repr(v) if scale is None else str(Decimal(v).scaleb(-scale)) for v in values]
    many = test in {"in", "not in"}
    return f"{column} {test} " + (f"({', '.join(shown)})" if many else shown[0])


_WORDS: Mapping[str, Callable[[Any], str]] = {
    "window": lambda value: " to ".join(map(_bound, value)),
    "filter": lambda value: " and ".join(map(_condition, value)),
    "entity": lambda value: ", ".join(
        one if one == asked else f"{one} = {asked}" for one, asked in value
    ),
    "default": repr,
    "defaults": repr,
    **dict.fromkeys(_DURATIONS.values(), _bound),
}
