"""Declarations of learners: LightGBM, any scikit-learn estimator, and the team's own code."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from headrace.core.errors import DeclarationError
from headrace.core.files import canonical_json

_ENTRY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
# Arguments of the function of a `Trainer`.
_RESERVED = {"rows", "label", "folder", "valid", "seed", "task", "classes"}


@dataclass(frozen=True)
class LightGBM:
    """Gradient-boosted trees. `params` are LightGBM parameters.

    `num_rounds` is the largest number of trees; training stops after `early_stopping` rounds
    without a better result on the valid split.
    """

    params: Mapping[str, Any] = field(default_factory=dict, hash=False)
    num_rounds: int = 300
    early_stopping: int = 30


@dataclass(frozen=True, kw_only=True)
class WorkerLimits:
    """Limits of a worker process. They do not change results, so a change of them trains nothing.

    Attributes:
        start_seconds: deadline of its start and of loading the model.
        train_seconds: deadline of one training.
        predict_seconds: deadline of one prediction.
        memory: GiB of private memory that each process may use (Linux); None for no limit.
        environment: names of further environment variables that the process may read.
    """

    start_seconds: float = 120.0
    train_seconds: float = 3_600.0
    predict_seconds: float = 60.0
    memory: float | None = None
    environment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        amounts = {name: value for name, value in asdict(self).items() if name != "environment"}
        for name, value in amounts.items():
            if value is not None and not value > 0:
                raise DeclarationError(
                    f"{name} is {value!r}", where="WorkerLimits", fix="give a number above 0"
                )

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "environment": list(self.environment)}

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> "WorkerLimits":
        return cls(**{**form, "environment": tuple(form["environment"])})


@dataclass(frozen=True)
class CodeLearner:
    """Learner that runs the team's code in a worker process, from a copy in the model's bundle.

    Attributes:
        entry: "module:function".
        params: keyword arguments of the function; JSON values.
        source: names of the modules and packages to copy into the bundle. By default, the package
            that holds the module, or the module itself if it is in no package. Installed packages
            are not copied.
        packages: installed distributions whose versions must not change between training and
            prediction.
        threads: number of threads of numerical libraries. It may change results.
        limits: deadlines, memory and environment of the process.
    """

    entry: str
    params: Mapping[str, Any] = field(default_factory=dict, hash=False, kw_only=True)
    source: tuple[str, ...] = field(default=(), kw_only=True)
    packages: tuple[str, ...] = field(default=(), kw_only=True)
    threads: int = field(default=1, kw_only=True)
    limits: WorkerLimits = field(default=WorkerLimits(), kw_only=True)

    kind: ClassVar[str] = "code"

    def __post_init__(self) -> None:
        if not _ENTRY.fullmatch(self.entry):
            raise DeclarationError(
                f"{self.entry!r} is not a function",
                where=type(self).__name__,
                fix='write it as "module:function"',
            )
        try:
            canonical_json(dict(self.params))
        except (TypeError, ValueError) as error:
            raise DeclarationError(
                f"params are not JSON values: {error}",
                where=f"{type(self).__name__}({self.entry!r})",
                fix="pass numbers, texts and lists; build objects from them in the function",
            ) from error
        if self.threads < 1:
            raise DeclarationError(
                f"threads is {self.threads}", where=type(self).__name__, fix="give at least 1"
            )

    @property
    def module(self) -> str:
        return self.entry.partition(":")[0]

    @property
    def pinned_packages(self) -> tuple[str, ...]:
        """Distributions whose versions must be those of training."""
        return self.packages

    def form(self) -> dict[str, Any]:
        """Return what determines the result, as JSON values, without source and versions."""
        return {
            "kind": self.kind,
            "entry": self.entry,
            "params": dict(self.params),
            "threads": self.threads,
        }


@dataclass(frozen=True)
class Trainer(CodeLearner):
    """Learner of the team's own code, such as a torch network or a fine-tune.

    The module of `entry` defines the training function and `load`; see
    docs/how-to/train-with-your-own-code.md.
    """

    kind: ClassVar[str] = "trainer"

    def __post_init__(self) -> None:
        super().__post_init__()
        if reserved := sorted(_RESERVED & set(self.params)):
            raise DeclarationError(
                f"params {reserved} are arguments that the function gets anyway",
                where=f"Trainer({self.entry!r})",
                fix="rename them",
            )


@dataclass(frozen=True, init=False)
class SklearnLearner(CodeLearner):
    """Scikit-learn estimator, stored with skops.

    `entry` is a function of a module, or its "module:function", that returns an unfitted estimator;
    a class of scikit-learn works too. `trusted` lists the full names of types outside
    scikit-learn, NumPy and SciPy that the stored estimator may contain.
    """

    trusted: tuple[str, ...] = ()

    kind: ClassVar[str] = "sklearn"

    def __init__(
        self,
        entry: str | Callable[..., Any],
        *,
        params: Mapping[str, Any] | None = None,
        trusted: tuple[str, ...] = (),
        source: tuple[str, ...] = (),
        packages: tuple[str, ...] = (),
        threads: int = 1,
        limits: WorkerLimits | None = None,
    ) -> None:
        object.__setattr__(self, "trusted", tuple(trusted))
        super().__init__(
            entry if isinstance(entry, str) else _name_of(entry),
            params=params or {},
            source=source,
            packages=packages,
            threads=threads,
            limits=limits or WorkerLimits(),
        )

    @property
    def pinned_packages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(("numpy", "scikit-learn", "scipy", "skops", *self.packages)))

    def form(self) -> dict[str, Any]:
        return {**super().form(), "trusted": sorted(self.trusted)}


Learner = LightGBM | Trainer | SklearnLearner


def _name_of(factory: Callable[..., Any]) -> str:
    module, name = getattr(factory, "__module__", ""), getattr(factory, "__qualname__", "")
    if module in {"", "__main__"} or not name or "<" in name:
        raise DeclarationError(
            f"the factory {name or factory!r} of {module or 'no module'} cannot be found by name",
            where="SklearnLearner",
            fix="define it with `def` at the top level of a module of the project",
        )
    return f"{module}:{name}"
