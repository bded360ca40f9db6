"""A network of torch as the team's own code: the same weights and predictions from one release."""

import sys

import numpy as np
import pytest

from headrace.models.learners import Trainer
from tests.datasets import torch_env
from tests.models.learner_project import inputs, table, trained, write

NET = """
    import json

    import numpy as np
    import torch

    COLUMNS = ["wind", "distance", "holiday"]

    def matrix(rows):
        columns = [np.nan_to_num(rows[name].cast("float32").to_numpy()) for name in COLUMNS]
        return torch.tensor(np.column_stack(columns)) / torch.tensor([1.0, 3000.0, 1.0])

    def net(hidden):
        return torch.nn.Sequential(
            torch.nn.Linear(len(COLUMNS), hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 1)
        )

    def train(rows, label, folder, *, valid, hidden):
        model = net(hidden)
        x, y = matrix(rows), torch.tensor(rows[label].to_numpy().astype("float32"))
        for epoch in range(60):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y)
            print("epoch", epoch, loss.item())
            for weights, grad in zip(
                model.parameters(), torch.autograd.grad(loss, list(model.parameters()))
            ):
                weights.data.sub_(0.5 * grad)
        (folder / "net.json").write_text(json.dumps({"hidden": hidden}))
        torch.save(model.state_dict(), folder / "weights.pt")

    class Net:
        def __init__(self, model):
            self.model = model

        def predict(self, rows):
            with torch.no_grad():
                return torch.sigmoid(self.model(matrix(rows)))[:, 0].numpy()

    def load(folder):
        model = net(json.loads((folder / "net.json").read_text())["hidden"])
        model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
        return Net(model)
    """


@pytest.fixture
def torch_path(monkeypatch):
    if why := torch_env.missing():
        pytest.skip(why)
    monkeypatch.setattr(sys, "path", [*sys.path, str(torch_env.FOLDER)])


def test_a_network_is_trained_and_predicts_the_same_twice(torch_path, project):
    write(project / "net.py", NET)
    learner = Trainer("net:train", params={"hidden": 8}, packages=("torch",))
    first, second = (trained(project / name, learner) for name in ("first", "second"))
    rows = inputs(table(seed=1))
    predictions = [stored.predict("model", rows) for stored in (first, second)]
    assert np.array_equal(*predictions)
    assert first.form == second.form, "the weights have the same bytes"
    assert first.form["packages"]["torch"].startswith("2.")
    y = table(seed=1)["late"].to_numpy()
    assert predictions[0][y == 1].mean() > predictions[0][y == 0].mean() + 0.1
