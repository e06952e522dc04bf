"""The reference tensors on CUDA in float32: predictions, losses, gradients. Sums there have another order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stbench import Progress
from stbench.train.engine import Engine
from tests.cuda.device import DEVICE
from tests.methods.reference import SPREAD_FACTOR, Case
from tests.methods.test_reference import CASES, PHYDNET, ROLLED_OUT, STACKED, name

CUDA_SPREAD = 10.0
"""How much more than on a CPU an output may differ: cuDNN's algorithms sum in blocks."""
LOSS_REL, NORM_REL = 1e-4, 1e-3


@pytest.fixture
def engine() -> Engine:
    return Engine(DEVICE)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_prediction(case: Case, shared_dir: Path, engine: Engine) -> None:
    data = case.load(shared_dir)
    method = engine.place(case.build(data)).eval()
    seen = engine.predict(method, engine.to_device(data["batch_x"])).cpu()
    assert (seen - data["eval_output"]).abs().max().item() <= CUDA_SPREAD * SPREAD_FACTOR * data["eval_spread"]


@pytest.mark.parametrize("case", [*STACKED, *ROLLED_OUT, PHYDNET], ids=name)
def test_loss_and_gradients(case: Case, shared_dir: Path, engine: Engine) -> None:
    """PhyDNet with teacher forcing: without it one LeakyReLU input is of rounding size (see tests/methods)."""
    data = case.load(shared_dir)
    method = engine.place(case.build(data)).train()
    past, future = (engine.to_device(data[key]) for key in ("batch_x", "batch_y"))
    loss, norms = "train_loss", "grads_norm"
    if case in ROLLED_OUT:
        keep = data["train_mask_keep"]
        clip = torch.cat([past, future], dim=1)
        feed = torch.cat([torch.ones(len(keep), clip.shape[1] - 1 - keep.shape[1]), keep], dim=1).bool()
        losses = method.rollout_losses(clip, feed)
    else:
        losses = method.training_losses(past, future, Progress(epoch=0))
        if case is PHYDNET:
            loss, norms = "train_loss_tf1", "grads_tf1_norm"
    losses["loss"].backward()
    assert losses["loss"].item() == pytest.approx(float(data[loss]), rel=LOSS_REL)
    keys = method.public_key_map()
    seen = {keys[key]: p.grad.norm().item() for key, p in method.named_parameters() if p.grad is not None}
    assert seen == pytest.approx({key: float(value) for key, value in data[norms].items()}, rel=NORM_REL, abs=1e-5)
