"""Declarations of transforms that are fitted on data, without the fitted values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from math import isfinite
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from headrace.core.errors import DeclarationError
from headrace.datasets.manifest import ManifestColumn
from headrace.features.declaration_checks import check_names

Value: TypeAlias = str | int | float | bool
_NUMBERS = ("int64", "float64", "bool")
_DISCRETE = ("string", "int64", "bool")


@dataclass(frozen=True)
class Impute:
    """Replace null (and NaN) in `columns`, given as names or patterns.

    `by` selects the replacement: the mean, the median (the lower of two) or the mode (the smallest
    of several) of the training rows; with `constant` it is `value`. With `indicator`, a column
    `<name>__missing` of 0 and 1 is added after all other columns.
    """

    kind: ClassVar[str] = "impute"
    columns: tuple[str, ...]
    by: Literal["mean", "median", "mode", "constant"] = "median"
    value: Value | None = None
    indicator: bool = False

    def __post_init__(self) -> None:
        where = f"Impute({self.columns!r})"
        check_names(self.columns, "columns", where)
        _check_choice(self.by, ("mean", "median", "mode", "constant"), where)
        if (self.by == "constant") != (self.value is not None):
            raise DeclarationError(
                f"by={self.by!r} does not go with value={self.value!r}",
                where=where,
                fix="set value together with by='constant', and only then",
            )
        if isinstance(self.value, float) and not isfinite(self.value):
            raise DeclarationError(
                f"value={self.value!r} is not a finite number", where=where, fix="as in 0.0"
            )

    def takes(self, column: ManifestColumn) -> bool:
        return column.type in (("string", *_NUMBERS) if self.by in _ANY else _NUMBERS)


_ANY = ("mode", "constant")


@dataclass(frozen=True)
class Scale:
    """Scale `columns` (names or patterns) to (value - center) / scale; scale 0 counts as 1.

    `standard`: mean and sample standard deviation. `minmax`: minimum and range. `robust`: median
    and interquartile range. `quantile`: the share of the `bins` quantiles that are at most the
    value, from 0 to 1. All are computed on the training rows; null stays null.
    """

    kind: ClassVar[str] = "scale"
    columns: tuple[str, ...]
    by: Literal["standard", "minmax", "robust", "quantile"] = "standard"
    bins: int = 100

    def __post_init__(self) -> None:
        where = f"Scale({self.columns!r})"
        check_names(self.columns, "columns", where)
        _check_choice(self.by, ("standard", "minmax", "robust", "quantile"), where)
        if self.bins < 2:
            raise DeclarationError(f"bins is {self.bins}", where=where, fix="2 or more")

    def takes(self, column: ManifestColumn) -> bool:
        return column.type in _NUMBERS


@dataclass(frozen=True)
class Vocabulary:
    """Encode a value as its position among the sorted values of the training rows.

    Null stays null. Values in fewer than `min_count` training rows are excluded. A value that is
    not in the vocabulary becomes null, or, with `unknown="own"`, gets the position after the last.
    """

    kind: ClassVar[str] = "vocabulary"
    columns: tuple[str, ...]
    min_count: int = 1
    unknown: Literal["null", "own"] = "null"

    def __post_init__(self) -> None:
        where = f"Vocabulary({self.columns!r})"
        check_names(self.columns, "columns", where)
        _check_choice(self.unknown, ("null", "own"), where)
        if self.min_count < 1:
            raise DeclarationError(f"min_count is {self.min_count}", where=where, fix="1 or more")

    def takes(self, column: ManifestColumn) -> bool:
        return column.type in _DISCRETE


@dataclass(frozen=True)
class TargetMean:
    """Always refused: a mean of the target over all training rows leaks outcomes.

    The mean of a row would include the row's own outcome and later outcomes.
    """

    kind: ClassVar[str] = "target mean"
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        raise DeclarationError(
            "a target mean over the training rows leaks each row's own label, and later labels",
            where=f"TargetMean({self.columns!r})",
            fix="declare a view over the table of outcomes: Mean('<label>') by these columns, with"
            " a window; it uses only labels that are known by t",
        )


Transform: TypeAlias = Impute | Scale | Vocabulary
_KINDS: dict[str, type[Impute | Scale | Vocabulary]] = {
    get_arg.kind: get_arg for get_arg in get_args(Transform)
}


def form_of(transform: Transform) -> dict[str, Any]:
    """Declaration of a transform as JSON values, without its columns."""
    form = asdict(transform)
    del form["columns"]
    return {"kind": transform.kind, **form}


def transform_of(form: Mapping[str, Any], column: str) -> Transform:
    """Transform for one column, from the output of `form_of`."""
    settings = {name: value for name, value in form.items() if name != "kind"}
    return _KINDS[form["kind"]](columns=(column,), **settings)


def transforms_by_column(
    transforms: Sequence[Transform], columns: Sequence[ManifestColumn]
) -> dict[str, tuple[Transform, ...]]:
    """Transforms of each column: first an imputation, then either a scale or a vocabulary.

    Raises DeclarationError for a pattern that matches no key, spine or feature column, for a column
    type that the transform cannot take, and for two transforms that exclude each other.
    """
    eligible = [column for column in columns if column.role in {"key", "spine", "feature"}]
    by_column: dict[str, list[Transform]] = {}
    for transform in transforms:
        for pattern in transform.columns:
            names = [column for column in eligible if fnmatchcase(column.name, pattern)]
            if not names:
                raise DeclarationError(
                    f"no column matches {pattern!r}",
                    where=f"{type(transform).__name__}({transform.columns!r})",
                    fix=f"choose from {', '.join(column.name for column in eligible)}",
                )
            for column in names:
                _add(by_column.setdefault(column.name, []), transform, column)
    return {name: tuple(sorted(steps, key=_is_last)) for name, steps in sorted(by_column.items())}


def _is_last(transform: Transform) -> bool:
    return not isinstance(transform, Impute)


def _add(steps: list[Transform], transform: Transform, column: ManifestColumn) -> None:
    where = f"{type(transform).__name__}, column {column.name}"
    if not transform.takes(column):
        raise DeclarationError(
            f"the transform does not support {column.type}", where=where, fix="leave the column out"
        )
    if transform in steps:
        return
    if any(_is_last(step) == _is_last(transform) for step in steps):
        raise DeclarationError(
            "the column has two transforms that exclude each other",
            where=where,
            fix="at most one Impute, and one Scale or Vocabulary, for each column",
        )
    steps.append(transform)


def _check_choice(value: str, choices: Sequence[str], where: str) -> None:
    if value not in choices:
        raise DeclarationError(f"there is no {value!r}", where=where, fix=f"{', '.join(choices)}")
