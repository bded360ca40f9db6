"""A team's project in a temporary folder, and the tables that its code is trained on."""

import textwrap

import numpy as np
import pyarrow as pa

from headrace.models.learners.bundle import LEARNER, LearnerTraining, StoredLearner

# Training: the mean of the label for each carrier. It writes JSON and reads it back.
MEANS = """
    import json
    from pathlib import Path

    import pyarrow as pa

    def train(rows, label, folder, *, seed, task, classes):
        sums = {}
        for carrier, y in zip(rows["carrier"].to_pylist(), rows[label].to_pylist()):
            total, count = sums.get(str(carrier), (0, 0))
            sums[str(carrier)] = total + y, count + 1
        means = {carrier: total / count for carrier, (total, count) in sums.items()}
        (folder / "means.json").write_text(json.dumps(means))

    def load(folder):
        return Means(json.loads((folder / "means.json").read_text()))

    class Means:
        def __init__(self, means):
            self.means = means

        def predict(self, rows):
            return pa.array([self.means.get(str(c), 0.5) for c in rows["carrier"].to_pylist()])
    """


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def table(rows=400, seed=0):
    """Rows of two numbers, a text with nulls, a boolean, and a label that follows from them."""
    rng = np.random.default_rng(seed)
    wind, distance = rng.normal(size=rows), rng.integers(100, 3000, rows)
    carrier = rng.choice(["AA", "B6", "UA"], rows)
    late = (wind + (carrier == "UA") + rng.normal(size=rows) > 0.5).astype(np.int64)
    return pa.table(
        {
            "wind": pa.array(wind, mask=rng.random(rows) < 0.1),
            "distance": pa.array(distance),
            "carrier": pa.array(carrier, mask=rng.random(rows) < 0.1),
            "holiday": pa.array(rng.random(rows) < 0.2),
            "late": pa.array(late),
        }
    )


# Prediction of a constant, to which a test adds a fault.
CONSTANT = """
    import json, os, signal, subprocess, sys, time
    from pathlib import Path
    import numpy as np
    import pyarrow as pa

    def train(rows, label, folder, **keywords):
        (folder / "rate.json").write_text("0.5")
        {train}

    class Rate:
        def __init__(self, rate):
            self.rate = rate
        def predict(self, rows):
            {predict}
            return np.full(rows.num_rows, self.rate)

    def load(folder):
        {load}
        return Rate(json.loads((folder / "rate.json").read_text()))
    """


def constant(root, name="rates", *, train="pass", predict="pass", load="pass"):
    """Write a module with these lines in its functions; return the entry of its training."""
    write(root / f"{name}.py", CONSTANT.format(train=train, predict=predict, load=load))
    return f"{name}:train"


def trained(folder, learner, rows=None, model="late", parts=("model",), **options):
    """Train a learner as a bundle would, and return it as stored."""
    rows = table() if rows is None else rows
    with LearnerTraining(model, learner, folder, seed=7, **options) as training:
        for part in parts:
            training.train(part, rows, rows.slice(0, 50), "late")
        (folder / LEARNER).write_bytes(training.finish())
    return StoredLearner.open(model, folder)


def inputs(rows=None):
    return (table() if rows is None else rows).drop_columns(["late"])
