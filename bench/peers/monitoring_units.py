"""What the peers of monitoring read: `MANIFEST.json` and Parquet files in a folder.

A unit is one window: untouched, or of a case with a fault. All peers get the same rows, and answer
with numbers a unit, from which `bench.monitoring_peers` takes the verdicts of each setting.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

RECENT = 4  # windows before one that it is compared with, where that is asked for


class Units:
    """One history: `untouched` windows by place, and cases as (case, place, rows)."""

    def __init__(self, folder: Path, about: dict) -> None:
        self.name, self.about = about["name"], about
        self.numbers, self.texts = about["numbers"], about["texts"]
        rows = pd.read_parquet(folder / about["rows"])
        self.untouched = dict(iter(rows.groupby("window")))
        self._cases = [(one["id"], pd.read_parquet(folder / one["rows"])) for one in about["cases"]]

    @property
    def columns(self) -> list[str]:
        return [*self.numbers, *self.texts]

    @property
    def first_scored(self) -> int:
        """The first window whose rows all have scores: the model learned from those before."""
        return self.about["first_scored"]

    def learned(self) -> pd.DataFrame:
        """The rows before: what a reference usually is."""
        places = [at for at in self.untouched if at < self.first_scored]
        return pd.concat([self.untouched[at] for at in places])

    def recent(self, place: int) -> pd.DataFrame:
        """The untouched windows just before one."""
        places = [at for at in self.untouched if place - RECENT <= at < place]
        return pd.concat([self.untouched[at] for at in places])

    def units(self) -> Iterator[tuple[str, int, pd.DataFrame]]:
        """Every window that is judged: its name, its place, its rows."""
        for place, rows in self.untouched.items():
            if place >= self.first_scored:
                yield f"untouched:{place}", place, rows
        for case, rows in self._cases:
            for place, part in rows.groupby("window"):
                yield f"{case}:{place}", int(place), part


def read(folder: str) -> list[Units]:
    manifest = json.loads((Path(folder) / "MANIFEST.json").read_text())
    return [Units(Path(folder), one) for one in manifest["histories"]]


def auc(rows: pd.DataFrame) -> float | None:
    from sklearn.metrics import roc_auc_score

    if rows["label"].nunique() < 2:
        return None
    return float(roc_auc_score(rows["label"], rows["score"]))


def answer(folder: str, name: str, found: dict) -> None:
    (Path(folder) / f"{name}.json").write_text(json.dumps(found))
