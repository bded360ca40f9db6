"""NannyML in its environment: `python monitoring_nannyml.py FOLDER`.

It writes NannyML's univariate drift (Jensen-Shannon), shares of missing and of unseen values,
realized performance, and CBPE's estimate of the performance, with the windows as chunks. Drift is
fitted on the model's training rows, performance on the first six windows with scores, which are
not evaluated.
"""

import sys

import nannyml
import numpy as np
import pandas as pd
from monitoring_units import Units, answer, read
from nannyml.chunk import Chunk, Chunker

FITTED = 6


class ByUnit(Chunker):
    """Chunker whose chunks are the units; it gets the lengths of the units in each frame."""

    def __init__(self, *frames: list[pd.DataFrame]) -> None:
        super().__init__()
        self.sizes = {sum(map(len, parts)): list(map(len, parts)) for parts in frames}

    def _split(self, data: pd.DataFrame) -> list[Chunk]:
        ends = np.cumsum(self.sizes[len(data)])
        starts = [0, *ends[:-1]]
        return [
            Chunk(key=str(at), data=data.iloc[start:end])
            for at, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]


def prepared(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(predicted=(rows["score"] >= 0.5).astype(int))


def results(calculator, reference: pd.DataFrame, rows: pd.DataFrame, keys: list[str]):
    """Return one row per unit: its name in `unit`, and NannyML's results."""
    calculator.fit(reference)
    run = calculator.estimate if hasattr(calculator, "estimate") else calculator.calculate
    found = run(rows).filter(period="analysis").to_df(multilevel=False)
    return found.assign(unit=keys)


def by_unit(frame: pd.DataFrame) -> dict:
    """Return {unit: {name: [value, alert, upper threshold, lower threshold]}}."""
    names = [c.removesuffix("_alert") for c in frame.columns if c.endswith("_alert")]
    ends = ("_value", "_alert", "_upper_threshold", "_lower_threshold")
    return {
        row["unit"]: {n: [_plain(row.get(n + end)) for end in ends] for n in names}
        for _, row in frame.iterrows()
    }


def _plain(value) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def of_history(history: Units) -> dict:
    texts, columns, first = history.texts, history.columns, history.first_scored
    learned = [prepared(rows) for at, rows in history.untouched.items() if at < first]
    fitted = [prepared(history.untouched[at]) for at in range(first, first + FITTED)]
    judged = [(unit, rows) for unit, at, rows in history.units() if at >= first + FITTED]
    keys, parts = [unit for unit, _ in judged], [prepared(rows) for _, rows in judged]
    before, answered, now = (pd.concat(one, ignore_index=True) for one in (learned, fitted, parts))
    chunker = ByUnit(learned, fitted, parts)
    about = {
        "y_pred_proba": "score", "y_pred": "predicted", "y_true": "label",
        "problem_type": "classification_binary", "metrics": ["roc_auc"], "chunker": chunker,
    }  # fmt: skip
    plain = {
        "drift": nannyml.UnivariateDriftCalculator(
            column_names=columns, treat_as_categorical=texts, chunker=chunker
        ),
        "missing": nannyml.MissingValuesCalculator(column_names=columns, chunker=chunker),
        "unseen": nannyml.UnseenValuesCalculator(column_names=texts, chunker=chunker),
    }
    answers = {
        "realized": nannyml.PerformanceCalculator(**about),
        "estimated": nannyml.CBPE(**about),
    }
    found = {name: by_unit(results(one, before, now, keys)) for name, one in plain.items()}
    found |= {name: by_unit(results(one, answered, now, keys)) for name, one in answers.items()}
    return {
        f"{history.name}:{unit}": {name: one[unit] for name, one in found.items()} for unit in keys
    }


def main(folder: str) -> None:
    found: dict = {}
    for history in read(folder):
        found |= of_history(history)
        print(history.name, file=sys.stderr, flush=True)
    answer(folder, "nannyml", found)


if __name__ == "__main__":
    main(sys.argv[1])
