"""Declarations of splits, of the evaluation split and of leakage between splits, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias

from headrace.core.clock import duration, iso, parse_iso
from headrace.core.errors import DeclarationError
from headrace.datasets.vocabulary import SPLITS
from headrace.features.declaration_checks import check_names

Share: TypeAlias = "float | str"


@dataclass(frozen=True)
class TimeSplits:
    """Splits by prediction time `t`: train before `train_until`, then valid, then test.

    Bounds are exclusive RFC 3339 moments; a bare date means midnight UTC. `embargo` is an extra gap
    before each bound, in addition to the label's horizon and settle time.
    """

    train_until: str
    valid_until: str
    test_until: str
    embargo: str = "0s"

    def __post_init__(self) -> None:
        if any(a >= b for a, b in pairwise(self.bounds)) or self.embargo_us < 0:
            raise DeclarationError(
                "splits must follow each other in time, with an embargo of zero or more",
                where=f"TimeSplits({', '.join(map(iso, self.bounds))}, embargo={self.embargo!r})",
                fix="order train_until < valid_until < test_until",
            )

    @property
    def bounds(self) -> tuple[int, int, int]:
        """Ends of train, valid and test; microseconds UTC, exclusive."""
        return parse_iso(self.train_until), parse_iso(self.valid_until), parse_iso(self.test_until)

    @property
    def embargo_us(self) -> int:
        return duration(self.embargo)

    @property
    def training_until(self) -> int:
        """End of the training rows; their labels are read as of this moment; microseconds UTC."""
        return self.bounds[0]

    @property
    def tuned_until(self) -> int:
        """End of the rows used to choose the model (train and valid); microseconds UTC."""
        return self.bounds[1]

    def form(self) -> dict[str, Any]:
        train, valid, test = self.bounds
        return {
            "kind": "time",
            "train_until_us": train,
            "valid_until_us": valid,
            "test_until_us": test,
            "embargo_us": self.embargo_us,
        }


@dataclass(frozen=True)
class _SharedSplits:
    """Base of splits by shares; the decimal shares must add up to exactly one."""

    by: tuple[str, ...]
    train: Share = 0.8
    valid: Share = 0.1
    test: Share = 0.1
    after: str | None = None
    until: str | None = None
    embargo: str = "0s"
    salt: str = ""

    def __post_init__(self) -> None:
        where = f"{type(self).__name__}(by={self.by!r})"
        check_names(self.by, "by", where)
        if sum(self.shares) != 1 or min(self.shares) < 0:
            shares_text = ", ".join(map(str, (self.train, self.valid, self.test)))
            raise DeclarationError(
                f"shares {shares_text} do not add up to one",
                where=where,
                fix="as in train=0.8, valid=0.1, test=0.1",
            )
        bounds = (self.after_us, self.until_us)
        if self.embargo_us < 0 or (None not in bounds and bounds[0] >= bounds[1]):  # type: ignore[operator]
            raise DeclarationError(
                f"wrong bounds: after={self.after}, until={self.until}, embargo={self.embargo}",
                where=where,
                fix="after < until, and an embargo of zero or more",
            )
        if self.after is None and self.embargo_us:
            raise DeclarationError(
                "an embargo has no effect without a time bound",
                where=where,
                fix="add after=<the end of training>",
            )

    @property
    def shares(self) -> tuple[Fraction, Fraction, Fraction]:
        return exact(self.train), exact(self.valid), exact(self.test)

    @property
    def after_us(self) -> int | None:
        return None if self.after is None else parse_iso(self.after)

    @property
    def until_us(self) -> int | None:
        return None if self.until is None else parse_iso(self.until)

    @property
    def embargo_us(self) -> int:
        return duration(self.embargo)

    @property
    def training_until(self) -> int | None:
        """End of training, microseconds UTC; None if train and test are not separated by time."""
        return self.after_us

    @property
    def tuned_until(self) -> int | None:
        return self.after_us

    def form(self) -> dict[str, Any]:
        shares = {name: str(share) for name, share in zip(SPLITS, self.shares, strict=True)}
        return {
            "kind": _KINDS[type(self).__name__],
            "by": list(self.by),
            "shares": shares,
            "salt": self.salt,
            "after_us": self.after_us,
            "until_us": self.until_us,
            "embargo_us": self.embargo_us,
        }


_KINDS = {"GroupSplits": "group", "StratifiedSplits": "stratified"}


@dataclass(frozen=True)
class GroupSplits(_SharedSplits):
    """Splits that keep all rows of a group together; a salted hash of `by` chooses the split.

    Adding rows or groups never moves a group to another split. Shares apply to groups, so row
    counts match them only approximately. `after` also bounds training in time: training rows have
    labels settled before `after` (minus `embargo`), and valid and test rows have t >= `after`. A
    row on the wrong side of `after` for the split of its group is excluded. `until` is the
    exclusive end of the dataset. Another `salt` gives another split.
    """


@dataclass(frozen=True)
class StratifiedSplits(_SharedSplits):
    """Splits with the same shares in every stratum.

    A stratum is all rows with equal values in `by`; null is a value. The rows of a stratum are
    ordered by a salted hash of their key and cut by the shares, rounded to whole rows. Adding n
    rows to a stratum moves at most n rows near its cuts, typically about the square root of n.

    With `after`, declare `train=0`: rows before `after` are train (if their label is settled by
    `after` minus `embargo`), and valid and test share the rows from `after` on.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.after is not None) != (self.shares[0] == 0):
            raise DeclarationError(
                "with `after`, which selects training rows by time, train must be 0; else above 0",
                where=f"StratifiedSplits(by={self.by!r})",
                fix="train=0 together with after=..., and valid and test that add up to one",
            )


Splits: TypeAlias = TimeSplits | GroupSplits | StratifiedSplits


@dataclass(frozen=True)
class Evaluation:
    """Rows reserved for a final evaluation and never used for training or tuning.

    They are a uniform sample of `share` of all rows from `after` to `until`, drawn by a salted hash
    of the key, so that segments have the same shares as in production. With `group`, whole groups
    are drawn, and no row of a drawn group is in another split, not even before `after`. Group
    splits use their own groups. Accesses are counted; more than `looks` cause a warning.
    """

    share: Share
    after: str
    until: str | None = None
    group: tuple[str, ...] = ()
    looks: int = 20
    salt: str = "evaluation"

    def __post_init__(self) -> None:
        where = f"Evaluation(share={self.share!r}, after={self.after!r})"
        if not 0 < exact(self.share) <= 1:
            raise DeclarationError("the share must be above 0, up to 1", where=where, fix="0.1")
        if self.until is not None and parse_iso(self.until) <= parse_iso(self.after):
            raise DeclarationError(
                "the evaluation ends before it begins", where=where, fix="after < until"
            )
        if self.looks < 1:
            raise DeclarationError(f"looks is {self.looks}", where=where, fix="1 or more")

    @property
    def after_us(self) -> int:
        return parse_iso(self.after)

    @property
    def until_us(self) -> int | None:
        return None if self.until is None else parse_iso(self.until)

    def form(self) -> dict[str, Any]:
        return {
            "evaluation_share": str(exact(self.share)),
            "evaluation_after_us": self.after_us,
            "evaluation_until_us": self.until_us,
            "evaluation_group": list(self.group),
            "evaluation_looks": self.looks,
            "evaluation_salt": self.salt,
        }


@dataclass(frozen=True)
class Leakage:
    """Definition of leaks between splits, and the allowed share of leaking rows.

    Rows are twins if they agree in all features except `ignore` (names or patterns), with floats
    rounded to `digits` significant digits. The release is blocked if more than `share` of the rows
    of another split have a twin in train. If more than `common` training rows share the same
    values, rows with these values are not twins. No value of the columns `group` may be in two
    splits; leave `group` out for splits by time, in which groups usually recur. `because` gives a
    reason to allow all leaks; it is recorded in the manifest.
    """

    share: Share = 0.01
    digits: int | None = 9
    common: int = 10
    ignore: tuple[str, ...] = ()
    with_label: bool = False
    group: tuple[str, ...] = ()
    because: str = ""

    def __post_init__(self) -> None:
        counted = (self.common, 1 if self.digits is None else self.digits)
        if not 0 <= exact(self.share) <= 1 or min(counted) < 1:
            raise DeclarationError(
                f"wrong limits: share={self.share}, digits={self.digits}, common={self.common}",
                where="Leakage",
                fix="a share from 0 to 1, one significant digit or more (or None), one row or more",
            )


def exact(share: Share) -> Fraction:
    """The decimal as written, as an exact fraction: 0.1 is one tenth."""
    try:
        return Fraction(str(share))
    except (ValueError, ZeroDivisionError) as error:
        raise DeclarationError(f"{share!r} is not a share", fix="as in 0.1 or '1/3'") from error


def rule_form(
    splits: Splits,
    evaluation: Evaluation | None,
    key: tuple[str, ...],
    excluded_reasons: tuple[str, ...],
) -> Mapping[str, Any]:
    """Split rule for the manifest and the version number; moments in microseconds UTC."""
    apart = evaluation.form() if evaluation else {}
    return {**splits.form(), "key": list(key), "left_out": sorted(excluded_reasons), **apart}


def as_bounded_in(
    form: Mapping[str, Any], splits: Splits, evaluation: Evaluation | None
) -> tuple[Splits, Evaluation | None]:
    """Replace the declared bounds by those of a manifest's split rule, where both have them."""
    moments = {
        name.removesuffix("_us"): iso(value)
        for name, value in form.items()
        if name.endswith(("after_us", "until_us")) and value is not None
    }
    bounds: dict[str, Any] = {
        name: at for name, at in moments.items() if getattr(splits, name, None) is not None
    }
    if evaluation is not None:
        apart: dict[str, Any] = {
            name: moments[f"evaluation_{name}"]
            for name in ("after", "until")
            if f"evaluation_{name}" in moments and getattr(evaluation, name) is not None
        }
        evaluation = replace(evaluation, **apart)
    return replace(splits, **bounds), evaluation
