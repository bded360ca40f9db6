"""Evidently and plain statistics, in its environment: `python monitoring_evidently.py FOLDER`.

It writes, for each unit: Evidently's drift preset with the model's training rows as reference, its
Jensen-Shannon distances to the four windows before, the shares of nulls, the number of rows, and
the area under the curve; also plain PSI (ten quantile bins), and the p-values of the two-sample
Kolmogorov-Smirnov test or, for texts, of the chi-squared test.
"""

import sys

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType
from monitoring_units import Units, answer, auc, read
from scipy.stats import chi2_contingency, ks_2samp


def of_evidently(
    history: Units, now: pd.DataFrame, reference: pd.DataFrame, how: str | None = None
) -> dict:
    """Return {column: [value, True for drift]}; `how` is the test, None for Evidently's default.

    The tests are called like in Evidently's drift metrics, but without the report's plots, which
    take seconds per window. Evidently fails on a column that is all null on one side: it counts as
    drifted.
    """
    found = {}
    for name in history.columns:
        sides = [
            rows[name].replace([-np.inf, np.inf], np.nan).dropna() for rows in (reference, now)
        ]
        kind = "cat" if name in history.texts else "num"
        if not all(map(len, sides)):
            found[name] = [1.0, True]
            continue
        test = get_stattest(*sides, kind, how)
        done = test(*sides, ColumnType(kind), None)
        found[name] = [float(done.drift_score), bool(done.drifted)]
    return found


def psi(now: pd.Series, reference: pd.Series, *, text: bool) -> float:
    """Return the population stability index; nulls are a separate bin."""
    if text:
        levels = reference.value_counts(dropna=False).index[:50]
        p, q = (
            one.value_counts(dropna=False).reindex(levels).fillna(0) for one in (reference, now)
        )
        p, q = (
            np.append(c.to_numpy(float), n - c.sum())
            for c, n in ((p, len(reference)), (q, len(now)))
        )
    else:
        edges = np.unique(np.nanquantile(reference.astype(float), np.linspace(0, 1, 11)[1:-1]))
        p, q = (
            np.bincount(
                np.where(
                    one.isna(), len(edges) + 1, np.searchsorted(edges, one.astype(float), "right")
                ),
                minlength=len(edges) + 2,
            ).astype(float)
            for one in (reference, now)
        )
    p, q = (np.maximum(one / one.sum(), 1e-4) for one in (p, q))
    return float(np.sum((q - p) * np.log(q / p)))


def p_value(now: pd.Series, reference: pd.Series, *, text: bool) -> float:
    """Return the p-value for equal distributions; nulls are excluded, as these tests do."""
    now, reference = now.dropna(), reference.dropna()
    if not len(now) or not len(reference):
        return 0.0
    if not text:
        return float(ks_2samp(now.astype(float), reference.astype(float)).pvalue)
    table = pd.concat([now.value_counts(), reference.value_counts()], axis=1).fillna(0).to_numpy()
    return float(chi2_contingency(table).pvalue) if len(table) > 1 else 1.0


def of_plain(history: Units, now: pd.DataFrame, reference: pd.DataFrame) -> dict:
    """Return {column: [PSI, p-value]}."""
    return {
        name: [
            psi(now[name], reference[name], text=name in history.texts),
            p_value(now[name], reference[name], text=name in history.texts),
        ]
        for name in history.columns
    }


def main(folder: str) -> None:
    found: dict = {}
    for history in read(folder):
        learned = history.learned()
        for unit, place, now in history.units():
            recent = history.recent(place)
            found[f"{history.name}:{unit}"] = {
                "preset": of_evidently(history, now, learned),
                "recent": of_evidently(history, now, recent, "jensenshannon"),
                "plain": of_plain(history, now, learned),
                "plain_recent": of_plain(history, now, recent),
                "nulls": {name: float(now[name].isna().mean()) for name in history.columns},
                "rows": len(now),
                "auc": auc(now),
            }
            print(".", end="", flush=True, file=sys.stderr)
    answer(folder, "evidently", found)


if __name__ == "__main__":
    main(sys.argv[1])
