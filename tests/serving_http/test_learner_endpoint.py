"""An endpoint whose model is the team's own code: it answers from a worker, also after a crash."""

import logging
import os
import signal
from dataclasses import replace

import pytest

from headrace.core.clock import parse_iso
from headrace.models import Trainer, champion
from headrace.models.learners.bundle import stop_workers
from headrace.pipeline import train_model
from headrace.pipeline.serving.endpoint import endpoint
from headrace.serving.http import ApiKeys, create_app
from tests.serving.world import DAYS
from tests.serving_http.server import serving
from tests.serving_http.test_endpoint import GOOD

AT = parse_iso(DAYS[9])
CODE = """
import os

import numpy as np

def train(rows, label, folder):
    (folder / "shares.txt").write_text(str(np.mean(rows[label].to_numpy())))

class Fares:
    def __init__(self, share):
        self.share = share

    def predict(self, rows):
        fares = np.nan_to_num(rows["fare"].to_numpy())  # cents
        print("fares", fares)
        if (fares == 6660).any():
            os._exit(1)
        assert not (fares == 725).any(), "secret text"
        return self.share / (1 + fares)

def load(folder):
    return Fares(float((folder / "shares.txt").read_text()))
"""


@pytest.fixture
def pipeline(lines, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "fares.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    model = replace(
        lines.pipeline.model,
        name="line_fares",
        context=("fare",),
        baseline=("fare",),
        params={},
        num_rounds=300,
        early_stopping=30,
        learner=Trainer("fares:train"),
    )
    yield replace(lines.pipeline, model=model, models=())
    stop_workers()


def test_the_endpoint_answers_from_a_worker(lines, pipeline, caplog):
    train_model(pipeline, lines.home)
    record = champion(lines.home, "line_fares")
    assert record.learner == "trainer"
    made = endpoint(pipeline, lines.home, keys=ApiKeys(), log_share=0, source="tables")
    with serving(create_app(made)) as client:
        fares = [1.0, 2.5]
        status, answered = client.predictions(*({**GOOD, "fare": fare} for fare in fares), at=AT)
        assert status == 200
        share = float((record.path / "model" / "shares.txt").read_text())
        assert [each["score"] for each in answered["predictions"]] == [
            share / (1 + 100 * fare) for fare in fares
        ]
        worker = record.stored_learner()._worker()
        for fare in (66.6, 7.25):
            with caplog.at_level(logging.ERROR):
                status, error = client.predictions({**GOOD, "fare": fare}, at=AT)
            assert status == 500
            assert "fares:train" in error["error"]["where"]
            assert "in prediction" in error["error"]["what"]
            assert str(round(100 * fare)) not in error["error"]["what"], (
                "printed text is in the log only"
            )
            assert "fares [" in caplog.text
            status, after = client.predictions({**GOOD, "fare": 1.0}, at=AT)
            assert (status, after["predictions"]) == (200, answered["predictions"][:1])
        os.kill(worker.pid, signal.SIGKILL)
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        status, after = client.predictions({**GOOD, "fare": 1.0}, at=AT)
        assert (status, after["predictions"]) == (200, answered["predictions"][:1])
