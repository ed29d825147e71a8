"""Members whose networks multiply in bfloat16."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from support import loaded, same
from vaefrag_core.config import EnsembleSpec, ModelConfig, Objective, Precision, TrainConfig
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.digits import digits
from vaefrag_core.models.vae import build_member
from vaefrag_core.training import group_training
from vaefrag_core.training.group_training import SLICE_STEPS, train_members
from vaefrag_core.training.precision import products_in

PRODUCTS = ("bmm", "baddbmm", "mm", "addmm", "convolution", "convolution_backward")


def images_of_28() -> ImageDataset:
    rng = np.random.default_rng(0)
    return ImageDataset("noise", rng.integers(0, 256, (40, 28, 28), dtype=np.uint8), (), "made here")


CASES = {
    "stacked": (ModelConfig(widths=(23,), channels=3), digits),
    "convolutions": (ModelConfig(architecture="conv28", channels=3), images_of_28),
    "one's own": (ModelConfig(network="custom_networks:Sound", channels=3), digits),
}


class Products(TorchDispatchMode):
    """Notes in which numbers products are taken, whoever asks for them: layers, or their gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, set[torch.dtype]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in PRODUCTS:
            self.seen.setdefault(name, set()).update(a.dtype for a in args if isinstance(a, torch.Tensor))
        return func(*args, **(kwargs or {}))


def spec_of(model: ModelConfig, precision: Precision, **train: object) -> EnsembleSpec:
    settings = TrainConfig(batch_size=4, precision=precision, **({"steps": 2} | train))  # type: ignore[arg-type]
    return EnsembleSpec(model=model, train=settings, members=3)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_products_are_taken_in_the_precision_asked_for_and_what_is_kept_is_float32(
    tmp_path: Path, case: str, precision: Precision, dtype: torch.dtype
) -> None:
    model, images = CASES[case]
    dataset = images()
    with Products() as products:
        train_members(spec_of(model, precision), dataset, [0, 1], tmp_path)
    assert products.seen
    assert set().union(*products.seen.values()) == {dtype}
    if case == "convolutions":
        assert {"convolution", "convolution_backward"} <= set(products.seen)
    stored = loaded(tmp_path, 1)
    assert {w.dtype for w in (*stored.weights.values(), *stored.optimizer.values())} == {np.dtype(np.float32)}


def test_losses_are_given_float32_whatever_the_layers_gave() -> None:
    vae = build_member((1, 28, 28), CASES["convolutions"][0], seed=0)
    with products_in("bfloat16", "cpu"):
        assert vae.encoder(torch.rand(2, 1, 28, 28)).dtype == torch.bfloat16
        passed = vae(torch.rand(2, 1, 28, 28), torch.randn(2, 3))
    assert {part.dtype for part in passed} == {torch.float32}


@pytest.mark.parametrize("objective", ["beta-tcvae", "factor-vae"])
def test_weights_differ_and_the_loss_hardly(tmp_path: Path, objective: Objective) -> None:
    model, _ = CASES["stacked"]
    ends = {}
    for precision in ("float32", "bfloat16"):
        spec = spec_of(
            model, precision, objective=objective, steps=SLICE_STEPS, learning_rate=3e-3, discriminator_widths=(7,)
        )
        train_members(spec, digits(), [0], tmp_path / precision)
        ends[precision] = loaded(tmp_path / precision, 0)
    fine, rough = ends["float32"], ends["bfloat16"]
    assert not any(np.array_equal(fine.weights[name], rough.weights[name]) for name in fine.weights)
    np.testing.assert_allclose(rough.history.loss, fine.history.loss, rtol=0.02)


@pytest.mark.parametrize("case", CASES)
def test_a_member_stopped_and_resumed_or_beside_others_is_the_same_to_the_last_bit(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_training, "SLICE_STEPS", 2)  # convolutions are slow without instructions for bfloat16
    model, images = CASES[case]
    dataset, spec = images(), spec_of(model, "bfloat16", steps=3)
    train_members(spec, dataset, [1, 2], tmp_path / "through")
    train_members(spec, dataset, [1], tmp_path / "stopped", should_stop=lambda: True)
    assert loaded(tmp_path / "stopped", 1).step == 2
    train_members(spec, dataset, [1], tmp_path / "stopped")
    assert same(loaded(tmp_path / "through", 1), loaded(tmp_path / "stopped", 1))
