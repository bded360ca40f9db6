"""Rows in torch: what a training loop sees, with workers, with ranks, and after a stop."""

import sys

import pytest

import headrace
from headrace.core.errors import DeclarationError
from tests.datasets import torch_env
from tests.datasets.test_release import made

COLUMNS = ["distance", "weather__wind", "calendar__hour", "carrier_1d__delay_mean"]


@pytest.fixture(scope="module")
def torch():
    if why := torch_env.missing():
        pytest.skip(why)
    sys.path.append(str(torch_env.FOLDER))
    import torch

    return torch


@pytest.fixture(scope="module")
def data(torch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch") / "store"
    made(folder)
    return headrace.open("delays", folder, split="train", columns=COLUMNS)


def rows_of(batches):
    return sorted(tuple(row) for batch in batches for row in batch.x.nan_to_num(-9).tolist())


def everything(data):
    filled = data.df.astype("float32").fillna(-9)
    return sorted(tuple(row) for row in filled.to_numpy().tolist())


def test_a_batch_is_a_matrix_and_its_labels(torch, data):
    rows = data.torch(batch=100)
    x, y = next(iter(rows))
    assert (x.shape, x.dtype) == ((100, 4), torch.float32)
    assert (y.shape, y.dtype) == ((100,), torch.int64)
    assert rows.columns == tuple(COLUMNS)
    batches = list(rows)
    assert len(batches) == len(rows)
    assert rows_of(batches) == everything(data)


def test_a_model_can_be_trained(torch, data):
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 1)
    rows = data.torch(batch=256, nulls=0.0)
    losses = [epoch_of(torch, layer, rows) for _ in range(5)]
    assert losses[-1] < losses[0] - 0.05


def epoch_of(torch, layer, rows):
    """Gradient descent by hand: torch's own optimisers take seconds to import."""
    losses = []
    for x, y in rows:
        logits = layer(x / torch.tensor([3000, 30, 24, 1]))[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y.float())
        loss.backward()
        for weights in layer.parameters():
            weights.data.sub_(0.5 * weights.grad)
            weights.grad = None
        losses.append(loss.item())
    return sum(losses) / len(losses)


def test_epochs_differ_and_repeat(torch, data):
    rows = data.torch(batch=64, seed=3)
    first, second = list(rows), list(rows)
    assert not torch.equal(first[0].y, second[0].y) or not torch.equal(first[1].y, second[1].y)
    rows.set_epoch(0)
    assert all(
        torch.equal(a.x.nan_to_num(), b.x.nan_to_num()) for a, b in zip(first, rows, strict=True)
    )


def test_columns_are_a_dict_of_tensors(torch, data):
    batch = next(iter(data.torch(batch=8, form="columns")))
    assert {name: one.dtype for name, one in batch.items()} == {
        "distance": torch.int64,
        "weather__wind": torch.float32,
        "calendar__hour": torch.int64,
        "carrier_1d__delay_mean": torch.float32,
    }


def test_going_on_after_a_stop_takes_each_row_once(torch, data):
    rows = data.torch(batch=100, seed=5)
    before = []
    for batch in rows:
        before.append(batch)
        if len(before) == 7:
            break
    state = rows.state_dict()
    later = data.torch(batch=100, seed=5)
    later.load_state_dict(state)
    assert rows_of([*before, *later]) == everything(data)
    assert later.epoch == 1
    with pytest.raises(DeclarationError, match="saved with seed 5, not 6"):
        data.torch(batch=100, seed=6).load_state_dict(state)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_workers_share_the_rows_and_can_be_stopped(torch, data):
    loader = data.torch(batch=100, seed=5).loader(num_workers=2)
    whole = list(loader)
    assert len(whole) == len(loader)
    assert rows_of(whole) == everything(data)

    stopped = data.torch(batch=100, seed=5).loader(num_workers=2)
    before = []
    for batch in stopped:
        before.append(batch)
        if len(before) == 5:
            break
    state = stopped.state_dict()
    resumed = data.torch(batch=100, seed=5).loader(num_workers=2)
    resumed.load_state_dict(state)
    after = list(resumed)
    assert rows_of([*before, *after]) == everything(data)
    for one, other in zip([*before, *after], whole, strict=True):
        assert torch.equal(one.x.nan_to_num(), other.x.nan_to_num())
    with pytest.raises(DeclarationError, match="saved with workers 2, not 1"):
        data.torch(batch=100, seed=5).loader().load_state_dict(state)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_plain_loader_shares_the_rows_too(torch, data):
    from torch.utils.data import DataLoader

    rows = data.torch(batch=100)
    assert rows_of(DataLoader(rows, batch_size=None, num_workers=2)) == everything(data)


def test_ranks_share_the_rows(torch, data):
    ranks = [list(data.torch(batch=100, rank=rank, world=3)) for rank in range(3)]
    assert rows_of(batch for rank in ranks for batch in rank) == everything(data)
    with pytest.raises(DeclarationError, match="rank=3 of world=3"):
        len(data.torch(rank=3, world=3))


def test_a_condition_holds_and_text_is_refused(torch, data):
    far = data.select(where=("distance", ">", 2000))
    assert rows_of(far.torch) == everything(far)
    whole = headrace.open("delays", data.store.root, split="train")
    with pytest.raises(DeclarationError, match="'calendar__carrier' is string"):
        _ = whole.torch
