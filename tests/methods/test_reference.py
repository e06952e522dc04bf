"""Same weights, same input: the reference's outputs, losses, gradients and BatchNorm statistics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from stbench_methods.phydnet.moments import kernels_to_moments, moment_basis, moment_targets
from stbench_methods.tau import differential_divergence

from stbench import Progress, create_method
from tests.methods.reference import SHAPE, SPREAD_FACTOR, Case, assert_close, assert_gradients, load
from tests.methods.small import METAFORMERS

STACK = {"hid_s": 16, "hid_t": 64, "n_s": 2, "n_t": 2, "drop_path": 0.0}
TAU = Case("tau_small", "tau", STACK)
TWO_LAYERS = {"hidden": (16, 16), "patch": 2, "kernel": 5}
CONVLSTM = Case("convlstm_ln0", "convlstm", TWO_LAYERS)
PREDRNN = Case("predrnn_ln0", "predrnn", TWO_LAYERS)
SIMVP = Case("simvp_gsta_small", "simvp:gsta", STACK)
PREDRNNPP = Case("predrnnpp_small", "predrnnpp", TWO_LAYERS)
PREDRNNV2 = Case("predrnnv2_small", "predrnnv2", TWO_LAYERS)
MIM = Case("mim_small", "mim", {"hidden": (16, 16, 16), "patch": 2, "kernel": 5})
MAU = Case("mau_small", "mau", {"hidden": (16, 16), "downsampling": 2, "kernel": 5})
PHYDNET = Case("phydnet_taxibj", "phydnet", {"patch": 2})

SMALL_FRAMES = SHAPE.model_copy(update={"height": 16, "width": 16})
METAFORMER = {"hid_s": 8, "hid_t": 48, "n_s": 2, "n_t": 4, "mlp_ratio": 4.0, "drop_path": 0.0}
TRANSLATED = tuple(Case(f"simvp_{kind}_small", f"simvp:{kind}", METAFORMER, SMALL_FRAMES) for kind in METAFORMERS)
SWINLSTM_B = Case(
    "swinlstm_b_small", "swinlstm:b", {"embed_dim": 16, "depth": 4, "num_heads": (2,), "drop_path": 0.0}, SMALL_FRAMES
)
SWINLSTM_D = Case(
    "swinlstm_d_small",
    "swinlstm:d",
    {
        "embed_dim": 12,
        "num_heads": (2, 4),
        "depths_downsample": (2, 3),
        "depths_upsample": (3, 2),
        "drop_path": 0.0,
    },
    SMALL_FRAMES,
)
SWINLSTM = (SWINLSTM_B, SWINLSTM_D)

CASES = (*TRANSLATED, *SWINLSTM, TAU, SIMVP, CONVLSTM, PREDRNN, PREDRNNPP, PREDRNNV2, MIM, MAU, PHYDNET)
STACKED = (TAU, SIMVP, *TRANSLATED)
ROLLED_OUT = (CONVLSTM, PREDRNN, PREDRNNPP, PREDRNNV2)


def name(case: Case) -> str:
    return case.file


@pytest.mark.parametrize("case", CASES, ids=name)
def test_prediction(case: Case, shared_dir: Path) -> None:
    data = case.load(shared_dir)
    method = case.build(data).eval()
    with torch.no_grad():
        error = (method(data["batch_x"]) - data["eval_output"]).abs().max().item()
    assert error <= SPREAD_FACTOR * data["eval_spread"]


@pytest.mark.parametrize("case", STACKED, ids=name)
def test_training_pass_of_the_stacked_methods(case: Case, shared_dir: Path) -> None:
    data = case.load(shared_dir)
    method = case.build(data).train()
    losses = method.training_losses(data["batch_x"], data["batch_y"], Progress())
    losses["loss"].backward()
    assert_close(losses["loss"].item(), data["train_loss"].item(), "loss")
    assert_close(losses["mse"].item(), data["train_mse"].item(), "mse")
    if "train_diff_div_reg" in data:
        assert_close(losses["ddr"].item(), data["train_diff_div_reg"].item(), "ddr")
    assert_gradients(method, data["grads_norm"])
    after = method.public_state_dict()
    has_statistics = any(key.endswith("running_mean") for key in after)
    assert bool(data["state_dict_after_train_forward"]) == has_statistics
    for key, expected in data["state_dict_after_train_forward"].items():
        torch.testing.assert_close(after[key], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", STACKED, ids=name)
def test_training_output_of_the_stacked_methods(case: Case, shared_dir: Path) -> None:
    data = case.load(shared_dir)
    method = case.build(data).train()
    with torch.no_grad():
        error = (method(data["batch_x"]) - data["train_output"]).abs().max().item()
    assert error <= SPREAD_FACTOR * data.get("train_spread", data["eval_spread"])


@pytest.mark.parametrize("case", ROLLED_OUT, ids=name)
def test_training_rollout_with_a_given_mask(case: Case, shared_dir: Path) -> None:
    data = case.load(shared_dir)
    method = case.build(data).train()
    clip = torch.cat([data["batch_x"], data["batch_y"]], dim=1)
    keep = data["train_mask_keep"]
    feed = torch.cat([torch.ones(clip.shape[0], clip.shape[1] - 1 - keep.shape[1]), keep], dim=1).bool()
    losses = method.rollout_losses(clip, feed)
    losses["loss"].backward()
    assert_close(losses["loss"].item(), data["train_loss"].item(), "loss")
    assert_gradients(method, data["grads_norm"])
    with torch.no_grad():
        frames = method.rollout(clip, feed)
    batch, steps, rows, columns, depth = data["train_next_frames"].shape
    patch = method.config.patch
    unfolded = data["train_next_frames"].reshape(batch, steps, rows, columns, patch, patch, depth // patch**2)
    expected = unfolded.permute(0, 1, 6, 2, 4, 3, 5).reshape(frames.shape)
    assert (frames - expected).abs().max().item() <= SPREAD_FACTOR * data["eval_spread"]


@pytest.mark.parametrize("case", SWINLSTM, ids=name)
def test_training_rollout_of_swinlstm(case: Case, shared_dir: Path) -> None:
    data = case.load(shared_dir)
    method = case.build(data).train()
    losses = method.training_losses(data["batch_x"], data["batch_y"], Progress())
    losses["loss"].backward()
    assert_close(losses["loss"].item(), data["train_loss"].item(), "loss")
    assert_gradients(method, data["grads_norm"])
    clip = torch.cat([data["batch_x"], data["batch_y"]], dim=1)
    with torch.no_grad():
        frames = method.rollout(clip, method.draw_feed(clip.shape[0], Progress()))
    assert (frames - data["train_next_frames"]).abs().max().item() <= SPREAD_FACTOR * data["eval_spread"]


@pytest.mark.parametrize("case", SWINLSTM, ids=name)
def test_rates_of_stochastic_depth_of_swinlstm(case: Case, shared_dir: Path) -> None:
    data = case.load(shared_dir)
    method = create_method(case.method, case.shape, **{**case.settings, "drop_path": 0.1})
    keys = {
        name: name.removesuffix("drop_path") for name, module in method.named_modules() if name.endswith("drop_path")
    }
    for own, block in keys.items():
        public = method.public_layout.public_key(f"{block}norm1.weight").replace("norm1.weight", "drop_path")
        assert method.get_submodule(own).rate == pytest.approx(data["public_drop_path"].get(public, 0.0))


def test_phydnet_training_pass_with_teacher_forcing(shared_dir: Path) -> None:
    data = PHYDNET.load(shared_dir)
    method = PHYDNET.build(data).train()
    losses = method.training_losses(data["batch_x"], data["batch_y"], Progress(epoch=0))
    losses["loss"].backward()
    assert_close(losses["loss"].item(), data["train_loss_tf1"].item(), "loss")
    assert_gradients(method, data["grads_tf1_norm"])


def test_phydnet_training_pass_without_teacher_forcing(shared_dir: Path) -> None:
    """The loss in float32, the gradients in float64.

    One LeakyReLU input of this case is -4e-9, so that rounding decides on which side of the kink it falls; in float32
    the norms move by up to 8e-4 with the number of threads, in float64 they are stable.
    """
    data = PHYDNET.load(shared_dir)
    method = PHYDNET.build(data).train()
    never_forced = Progress(epoch=1000)
    with torch.no_grad():
        loss = method.training_losses(data["batch_x"], data["batch_y"], never_forced)["loss"]
    assert_close(loss.item(), data["train_loss_tf0"].item(), "loss")
    method.double()
    method.training_losses(data["batch_x"].double(), data["batch_y"].double(), never_forced)["loss"].backward()
    assert_gradients(method, data["grads_norm"])


def test_phydnet_moments(shared_dir: Path) -> None:
    data = PHYDNET.load(shared_dir)
    assert_close(PHYDNET.build(data).moment_loss().item(), data["moment_loss"].item(), "moment loss")
    torch.testing.assert_close(moment_targets(7), data["constraints"].float(), rtol=0, atol=0)
    seen = kernels_to_moments(data["k2m_in"], moment_basis(7))
    torch.testing.assert_close(seen, data["k2m_out"].double(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("case", ["a", "b", "c_small_diff", "d_big_diff"])
def test_differential_divergence(case: str, shared_dir: Path) -> None:
    data = load(shared_dir, "tau_diff_div_reg")[case]
    pred = data["pred"].clone().requires_grad_()
    value = differential_divergence(pred, data["true"], data["tau"], data["eps"])
    (grad,) = torch.autograd.grad(value, pred)
    torch.testing.assert_close(value, data["value"], rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(grad, data["grad_pred"], rtol=1e-4, atol=1e-9)
    exact = differential_divergence(data["pred"].double(), data["true"].double(), data["tau"], data["eps"])
    torch.testing.assert_close(exact, data["value_float64"], rtol=1e-9, atol=0)


def test_differential_divergence_of_two_frames_is_zero(shared_dir: Path) -> None:
    expected = load(shared_dir, "tau_diff_div_reg")["T2_returns"]
    assert differential_divergence(torch.rand(2, 2, 1, 4, 4), torch.rand(2, 2, 1, 4, 4)).item() == expected
