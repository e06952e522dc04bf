"""Published checkpoints: a round trip changes nothing, and every defect of a file is named."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stbench.errors import UserError
from tests.methods.reference import Case
from tests.methods.small import SHAPE, TRAINED, build
from tests.methods.test_reference import CASES, MAU, MIM, PHYDNET, PREDRNNPP
from tests.methods.test_reference import name as case_name


@pytest.mark.parametrize("method", TRAINED)
def test_round_trip_is_identical(method: str) -> None:
    torch.manual_seed(0)
    written = build(method).public_state_dict()
    other = build(method)
    other.load_public_state_dict(written)
    again = other.public_state_dict()
    assert list(again) == list(written)
    assert all(torch.equal(again[key], written[key]) for key in written)


@pytest.mark.parametrize("method", TRAINED)
def test_a_whole_module_is_saved_and_read_as_people_do(method: str) -> None:
    """By torch.save, whose pickles are of protocol 2."""
    torch.manual_seed(0)
    written, file = build(method), io.BytesIO()
    torch.save(written, file)
    file.seek(0)
    read = torch.load(file, weights_only=False)
    past = torch.rand(SHAPE.past(1))
    assert torch.equal(read.eval()(past), written.eval()(past))


@pytest.mark.parametrize("method", TRAINED)
def test_two_parameters_never_share_a_published_name(method: str) -> None:
    keys = build(method).public_key_map()
    assert len(set(keys.values())) == len(keys)


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_the_reference_files_come_back_without_their_dead_part(case: Case, shared_dir: Path) -> None:
    published = case.load(shared_dir)["state_dict"]
    back = case.build({"state_dict": published}).public_state_dict()
    assert all(torch.equal(back[key], published[key]) for key in back)
    dropped = set(published) - set(back)
    dead = {
        "convlstm_ln0": r"cell_list\.\d\.(conv_o\.0|conv_last)\.weight",
        "predrnnpp_small": r"cell_list\.\d\.conv_o\.0\.weight",
        "mim_small": r"stlstm_layer_diff\.\d\.conv_last\.weight",
        "mau_small": r"(merge|conv_last_sr)\.(weight|bias)",
        "simvp_swin_small": r"hid\.enc\.\d\.block\.(attn\.relative_position_index|attn_mask)",
        "swinlstm_b_small": r".*\.(relative_position_index|attn_mask|red\.(weight|bias))",
        "swinlstm_d_small": r".*\.(relative_position_index|attn_mask|red\.(weight|bias))|Upsample\.patch_embed\..*",
        "phydnet_taxibj": r"k2m\._(inv)?M[01]",
    }
    assert all(re.fullmatch(dead.get(case.file, ""), key) for key in dropped)
    assert bool(dropped) == (case.file in dead)


@pytest.mark.parametrize("case", [PREDRNNPP, MIM, MAU, PHYDNET], ids=case_name)
def test_a_file_without_its_dead_part_loads_too(case: Case, shared_dir: Path) -> None:
    data = case.load(shared_dir)
    live = case.build(data).public_state_dict()
    again = case.build({"state_dict": live}).public_state_dict()
    assert all(torch.equal(again[key], live[key]) for key in live)


def test_phydnet_accepts_a_second_copy_of_its_cells_only_if_equal() -> None:
    method = build("phydnet")
    state = method.public_state_dict()
    cells = [key for key in state if key.startswith(("phycell.", "convcell."))]
    copied = {**state, **{f"encoder.{key}": state[key].clone() for key in cells}}
    method.load_public_state_dict(copied)
    copied[f"encoder.{cells[0]}"] = copied[f"encoder.{cells[0]}"] + 1
    with pytest.raises(UserError, match=re.escape(f"two copies of '{cells[0]}' that differ")):
        method.load_public_state_dict(copied)


def test_a_wrong_file_is_refused_by_name() -> None:
    method = build("predrnn")
    state = method.public_state_dict()
    key = "cell_list.0.conv_x.0.weight"
    cases: list[tuple[dict[str, Tensor], str]] = [
        ({k: v for k, v in state.items() if k != key}, f"missing: {key}"),
        ({**state, "extra.weight": torch.zeros(1)}, "unexpected: extra.weight"),
        ({**state, key: torch.zeros(1, 2)}, f"shape: {key} is (1, 2), expected (28, 8, 3, 3)"),
    ]
    before = {k: v.clone() for k, v in state.items()}
    for wrong, message in cases:
        with pytest.raises(UserError, match=re.escape(message)):
            method.load_public_state_dict(wrong)
    assert all(torch.equal(v, before[k]) for k, v in method.public_state_dict().items())


def test_another_methods_file_is_refused() -> None:
    with pytest.raises(UserError, match="does not fit MIM"):
        build("mim").load_public_state_dict(build("predrnnpp").public_state_dict())


def test_a_value_that_is_no_tensor_is_refused() -> None:
    state: dict[str, Tensor] = {"epoch": 3}  # type: ignore[dict-item]
    with pytest.raises(UserError, match=r"'epoch'.* is a int, not a tensor"):
        build("tau", SHAPE).load_public_state_dict(state)


@pytest.mark.parametrize("model", ["swinlstm:b", "swinlstm:d"])
def test_swinlstm_reads_the_authors_own_names_too(model: str) -> None:
    method = build(model)
    state = method.public_state_dict()
    authors = {
        key.replace(".STBs.", ".Swin.layers.").replace("patch_inflated.Conv.", "patch_inflated.ConvT."): tensor
        for key, tensor in state.items()
    }
    assert set(authors) != set(state)
    build(model).load_public_state_dict(authors)
    inferred = type(method).infer_config(authors, SHAPE)
    assert inferred == type(method).infer_config(state, SHAPE)
