"""Input of the monitoring peers: `MANIFEST.json` and Parquet files in a folder.

A unit is one window, either without a fault or from a case with a fault. All peers get the same
rows, and return numbers for each unit, from which `bench.monitoring_peers` derives the alarms of
each setting.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

RECENT = 4  # number of earlier windows with which a window is compared


class Units:
    """Windows of one history: `untouched` windows by index, and the windows of its cases."""

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
        """Index of the first window whose rows all have scores; earlier ones trained the model."""
        return self.about["first_scored"]

    def learned(self) -> pd.DataFrame:
        """Return the model's training rows, which are the usual reference."""
        places = [at for at in self.untouched if at < self.first_scored]
        return pd.concat([self.untouched[at] for at in places])

    def recent(self, place: int) -> pd.DataFrame:
        """Return the rows of the windows without faults just before a window."""
        places = [at for at in self.untouched if place - RECENT <= at < place]
        return pd.concat([self.untouched[at] for at in places])

    def units(self) -> Iterator[tuple[str, int, pd.DataFrame]]:
        """Yield every evaluated window: its name, its index and its rows."""
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
