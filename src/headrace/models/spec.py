"""Declaration of a model."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from headrace.core.errors import DeclarationError
from headrace.datasets.manifest import Manifest, ManifestColumn
from headrace.datasets.vocabulary import NAME
from headrace.models.learners.bundle import learner_inputs
from headrace.models.learners.declaration import LightGBM, SklearnLearner, Trainer
from headrace.models.tasks import PredictionTask, declared_task

# Parameters that make the trees reproducible in every process and on every machine. The thread
# count is fixed because the model text contains it. `force_col_wise` is fixed because LightGBM
# would otherwise choose the fastest algorithm on each machine.
FIXED = {
    "objective": "binary",
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 2,
    "verbosity": -1,
}
_TYPES = ("int64", "float64", "bool", "string")
_NUMBERS = ("int64", "float64")
_SET_BY_TASK = {"num_class"}
# Fields that digests omit while they have their default, so that models from before they existed
# are not trained again.
_NEW_FIELDS = ("task", "loss", "last_value", "learner")
_OF_LIGHTGBM = ("params", "num_rounds", "early_stopping")


@dataclass(frozen=True)
class ModelSpec:
    """Model on one dataset: gradient-boosted trees, or another `learner`.

    `task` is what the model predicts: `binary` the probability of label 1, `multiclass` the
    probability of each class (a text or an integer), `regression` a number. `loss` is the loss of a
    regression: `squared` (the default) predicts the mean, `absolute` the median, `poisson` the mean
    of a count.

    `features`, `context`, `baseline` and `segments` choose columns of the release by name or
    pattern (`calendar__*`). `features=None` means all features; `context` adds columns of the row
    to predict, such as its carrier. `baseline` selects the inputs of a baseline model without
    history. It is trained with the same learner, to show how much the history improves predictions.
    Text columns are categorical; `categorical` makes other columns categorical too. `params` are
    LightGBM parameters. `margin` is the largest allowed loss of a challenger minus that of the
    champion, at the upper end of the bootstrap interval: in nats for log loss, as a share of the
    champion's loss for a regression. `last_value` is a column, by name or pattern, with the last
    value of a regression's label that was known at `t`; it becomes one more baseline.

    `learner` is `SklearnLearner(...)` or `Trainer(...)` for the team's own code. `LightGBM(...)` is
    the same as `params`, `num_rounds` and `early_stopping`, which other learners do not have.
    """

    name: str
    dataset: str
    baseline: tuple[str, ...]
    features: tuple[str, ...] | None = None
    context: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    params: dict[str, Any] = field(default_factory=dict, hash=False)
    num_rounds: int = 300
    early_stopping: int = 30
    seed: int = 7
    bootstrap: int = 2_000
    margin: float = 0.001
    task: Literal["binary", "multiclass", "regression"] = "binary"
    loss: Literal["squared", "absolute", "poisson"] | None = None
    last_value: str | None = None
    learner: LightGBM | SklearnLearner | Trainer | None = None

    def __post_init__(self) -> None:
        where = f"model {self.name}"
        if not NAME.fullmatch(self.name):
            raise DeclarationError(
                f"{self.name!r} is not a model name",
                fix="use lower-case letters, digits and underscores, starting with a letter",
            )
        if self.learner is not None:
            self._set_learner(where)
        if self.last_value is not None and self.task != "regression":
            raise DeclarationError(
                f"a last known value cannot predict for the task {self.task}",
                where=where,
                fix='drop last_value, or declare task="regression"',
            )
        fixed = sorted({*FIXED, "seed", *_SET_BY_TASK, *self.kind.params} & set(self.params))
        if fixed:
            raise DeclarationError(
                f"params {fixed} are fixed", where=where, fix="use ModelSpec.seed; drop the others"
            )

    def _set_learner(self, where: str) -> None:
        """Store LightGBM as the fields of its own, so that both notations are the same model."""
        fields = self.__dataclass_fields__
        declared = [
            name
            for name in _OF_LIGHTGBM
            if getattr(self, name) != ({} if name == "params" else fields[name].default)
        ]
        if declared:
            raise DeclarationError(
                f"{', '.join(declared)} and learner are both declared",
                where=where,
                fix=f"pass them to the learner: {type(self.learner).__name__}(...)",
            )
        if isinstance(self.learner, LightGBM):
            for name in _OF_LIGHTGBM:
                value = getattr(self.learner, name)
                object.__setattr__(self, name, dict(value) if name == "params" else value)
            object.__setattr__(self, "learner", None)

    @property
    def code(self) -> SklearnLearner | Trainer | None:
        """Learner that runs the team's code; None for LightGBM."""
        return None if isinstance(self.learner, LightGBM) else self.learner

    @property
    def kind(self) -> PredictionTask:
        """The task of the model, before training."""
        return declared_task(self.task, self.loss, f"model {self.name}")

    def form(self) -> dict[str, Any]:
        """Return the declaration for digests, without new fields that have their default."""
        fields = asdict(self)
        defaults = {name: self.__dataclass_fields__[name].default for name in _NEW_FIELDS}
        form = {k: v for k, v in fields.items() if k not in defaults or v != defaults[k]}
        return form if self.code is None else {**form, "learner": learner_inputs(self.code)}

    def all_params(self) -> dict[str, Any]:
        if self.code is not None:
            return {"learner": self.code.form(), "seed": self.seed}
        return {**self.params, **FIXED, **self.kind.params, "seed": self.seed}

    def feature_columns(self, manifest: Manifest) -> tuple[ManifestColumn, ...]:
        if self.features is not None:
            return self._select((*self.features, *self.context), manifest, "features")
        features = [column for column in manifest.columns if column.role == "feature"]
        context = self._select(self.context, manifest, "context")
        return _usable(self.name, [*context, *(c for c in features if c not in context)])

    def baseline_columns(self, manifest: Manifest) -> tuple[ManifestColumn, ...]:
        return self._select(self.baseline, manifest, "baseline")

    def last_value_column(self, manifest: Manifest) -> ManifestColumn | None:
        """Return the column of the last known value; None if none is declared.

        Raises:
            DeclarationError: the pattern matches several columns, or one that is not a number.
        """
        if self.last_value is None:
            return None
        columns = self._select((self.last_value,), manifest, "last_value")
        if len(columns) > 1 or columns[0].type not in _NUMBERS:
            raise DeclarationError(
                f"last_value {self.last_value!r} is not one column of numbers: "
                f"{', '.join(f'{column.name} ({column.type})' for column in columns)}",
                where=f"model {self.name} on {manifest.ref}",
                fix="name one column of type int64 or float64",
            )
        return columns[0]

    def segment_columns(self, manifest: Manifest) -> tuple[ManifestColumn, ...]:
        return self._select(self.segments, manifest, "segments")

    def categorical_columns(self, columns: Iterable[ManifestColumn]) -> tuple[str, ...]:
        """Return the names of text columns and of `categorical` columns, in the given order."""
        return tuple(
            c.name
            for c in columns
            if c.type == "string" or any(fnmatchcase(c.name, p) for p in self.categorical)
        )

    def _select(
        self, patterns: tuple[str, ...], manifest: Manifest, what: str
    ) -> tuple[ManifestColumn, ...]:
        """Return the matching columns in release order; each pattern must match a column."""
        eligible = [c for c in manifest.columns if c.role in {"key", "spine", "feature"}]
        for pattern in patterns:
            if not any(fnmatchcase(column.name, pattern) for column in eligible):
                raise DeclarationError(
                    f"{what}: no column matches {pattern!r}",
                    where=f"model {self.name} on {manifest.ref}",
                    fix=f"choose from {', '.join(column.name for column in eligible)}",
                )
        return _usable(
            self.name, [c for c in eligible if any(fnmatchcase(c.name, p) for p in patterns)]
        )


def _usable(name: str, columns: list[ManifestColumn]) -> tuple[ManifestColumn, ...]:
    for column in columns:
        if column.type not in _TYPES:
            raise DeclarationError(
                f"a {column.type} cannot be a feature",
                where=f"model {name}, column {column.name}",
                fix=f"make it one of {', '.join(_TYPES)} with a row transform",
            )
    return tuple(columns)
