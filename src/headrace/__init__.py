"""Headrace: gated data pipelines, from raw deliveries to training data that models can trust."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headrace import _renamed

if TYPE_CHECKING:
    from headrace.datasets.reader import Dataset

_renamed.install()

__version__ = "0.2.0.dev0"
__all__ = ["__version__", "open"]


def open(  # noqa: A001 - `headrace.open` is what users type
    ref: str,
    store: Path | str | None = None,
    *,
    split: str | None = None,
    columns: Sequence[str] | None = None,
    where: object = None,
    purpose: str | None = None,
    allow_tainted: str | None = None,
    allow_expired: str | None = None,
) -> "Dataset":
    """Open a dataset release: `headrace.open("flights_delay@1.0.0").df`.

    `split`, `columns` and `where` select, and only what is selected is read; the split `evaluation`
    needs a `purpose`. A release that holds a recalled batch is refused (`TaintedError`);
    `allow_tainted` is the reason to open it nevertheless, and is recorded; so is `allow_expired`
    for one that is past its retention (`ExpiredError`). See docs/how-to/use-a-dataset.md, and
    `headrace.datasets.reader.open_release`, which is imported on call, so that `import headrace`
    costs nothing.
    """
    from headrace.datasets.reader import open_release

    return open_release(
        ref,
        store,
        split=split,
        columns=columns,
        where=where,
        purpose=purpose,
        allow_tainted=allow_tainted,
        allow_expired=allow_expired,
    )
