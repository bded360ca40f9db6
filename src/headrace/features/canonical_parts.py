"""Canonical forms, split into named parts of each feature, and texts for the parts' values."""

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
    """Split canonical forms into parts by feature.

    Each output of a view or lookup, each transform, the spine and the label count as a feature.
    """
    return {name: parts for form in forms for name, parts in _features(form)}


def _features(form: Form) -> Iterator[tuple[str, Parts]]:
    name = str(form.get("name", "(spine)"))
    if form["type"] == "view":
        for feature, details in form["features"].items():
            yield from _of_view(name, form, feature, details)
    elif form["type"] == "lookup":
        for column in form["columns"]:
            details = {"column": column, "default": form.get("default", {}).get(column)}
            yield f"{name}__{column}", {**details, **_shared(form, [column])}
    elif form["type"] == "transform":
        code = {f"code of {what}": text for what, text in form["code"].items()}
        yield name, {**_own_parts(form), **code}
    else:
        columns = [*form["columns"], *([form["status"]] if form.get("status") else [])]
        details = {"columns": form["columns"], "defaults": form.get("defaults")}
        yield name, {**details, **_shared(form, columns)}


def _of_view(
    view: str, form: Form, feature: str, feature_form: Form
) -> Iterator[tuple[str, Parts]]:
    filtered = [row[0] for row in feature_form["where"]]
    scales = {name: column["scale"] for name, column in form["table"]["columns"].items()}
    columns = feature_form.get("columns", [feature_form["column"]])
    for column in columns:
        name = f"{feature}_{column}" if "columns" in feature_form else feature
        yield (
            f"{view}__{name}",
            {
                "operation": feature_form["op"],
                "column": column,
                "window": feature_form["window_us"],
                "filter": [[*row, scales[row[0]]] for row in feature_form["where"]],
                "default": feature_form.get("default", {}).get(name),
                **_shared(form, [column, *filtered]),
            },
        )


def _shared(form: Form, used: Sequence[str | None]) -> Parts:
    """Return the parts that a feature inherits from its view, its table and its columns."""
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
    parts: Parts = {name: form[name] for name in _PLAIN if name in form}
    parts |= {words: form[name] for name, words in _DURATIONS.items() if name in form}
    return parts


def value_text(part: str, value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Format the value of a part for people."""
    if value is None or value == []:
        return "none"
    if part in _WORDS:
        return _WORDS[part](value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _bound(us: int) -> str:
    return "0s" if us == 0 else ("-" if us < 0 else "") + duration_text(abs(us))


def _condition(row: Sequence[Any]) -> str:
    column, test, values, scale = row
    texts = [repr(v) if scale is None else str(Decimal(v).scaleb(-scale)) for v in values]
    many = test in {"in", "not in"}
    return f"{column} {test} " + (f"({', '.join(texts)})" if many else texts[0])


_WORDS: Mapping[str, Callable[[Any], str]] = {
    "window": lambda value: " to ".join(map(_bound, value)),
    "filter": lambda value: " and ".join(map(_condition, value)),
    "entity": lambda value: ", ".join(
        column if column == spine_column else f"{column} = {spine_column}"
        for column, spine_column in value
    ),
    "default": repr,
    "defaults": repr,
    **dict.fromkeys(_DURATIONS.values(), _bound),
}
