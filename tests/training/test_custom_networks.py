"""Networks that users bring along."""

from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.config import EnsembleSpec, ModelConfig, TrainConfig
from vaefrag_core.datasets.digits import digits
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.models.vae import restore_member
from vaefrag_core.spec_validation import resolve
from vaefrag_core.training.checkpoints import load_checkpoint
from vaefrag_core.training.group_size import group_size
from vaefrag_core.training.group_training import train_members


def spec_of(network: str) -> EnsembleSpec:
    return EnsembleSpec(model=ModelConfig(network=network, channels=3), train=TrainConfig(steps=50), members=2)


def test_one_trains_resumes_and_encodes_as_ours_do(tmp_path: Path) -> None:
    spec, dataset = spec_of("custom_networks:Sound"), digits()
    train_members(spec, dataset, [0, 1], tmp_path / "through")
    train_members(spec, dataset, [1], tmp_path / "stopped", should_stop=lambda: True)
    train_members(spec, dataset, [1], tmp_path / "stopped")
    through, stopped = (load_checkpoint(tmp_path / name / "1") for name in ("through", "stopped"))
    assert through is not None
    assert stopped is not None
    assert through.weights["encoder.1.weight"].shape == (16, 64)
    assert all(np.array_equal(through.weights[name], stopped.weights[name]) for name in through.weights)
    assert through.history.loss[-1] < through.history.loss[0]
    vae = restore_member((1, 8, 8), spec.model, through.weights)
    mean, _ = vae.encode(vae.decode(vae.encoder[1].weight.new_zeros(4, 3)))
    assert mean.shape == (4, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Missing",
            r"can be imported and made with \(image_shape, channels\), got AttributeError: .*'Missing'\. Install",
        ),
        ("Unfinished", r"made with \(image_shape, channels\), got TypeError: .*2 positional|3 were given"),
        ("OnlyEncoder", r"encoder and decoder, both torch\.nn\.Module, got Sequential and NoneType\. See docs"),
        ("Lazy", r"made with \(image_shape, channels\), got ValueError: no file of weights\. Install"),
        ("MeansOnly", r"expected \(2, 6\) from its encoder for \(2, 1, 8, 8\), got \(2, 3\)\."),
        ("OtherImages", r"that its encoder takes \(2, 1, 8, 8\), got RuntimeError: mat1 and mat2"),
        ("Normalized", r"parameters only, each once, got buffers or shared ones: encoder\.2\.num_batches_tracked, "),
        ("Random", r"one finite result of its encoder for one input, got two results\."),
        ("NotFinite", r"one finite result of its decoder for one input, got numbers that are not finite\."),
    ],
)
def test_what_is_wrong_with_one_is_said_in_a_sentence_before_training(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as raised:
        train_members(spec_of(f"custom_networks:{name}"), digits(), [0], tmp_path)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_script_that_ends_the_program_when_it_is_imported_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "script_of_its_own.py").write_text("import sys\nsys.exit('usage: script_of_its_own.py DATA')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidInputError, match=r"got SystemExit: usage: script_of_its_own\.py DATA\. Install"):
        train_members(spec_of("script_of_its_own:Network"), digits(), [0], tmp_path / "members")


def test_a_path_that_is_none_is_refused_and_no_architecture_is_settled_beside_one() -> None:
    with pytest.raises(InvalidInputError, match=r"expected package\.module:Class, got 'custom_networks'\."):
        resolve({"model": {"network": "custom_networks"}})
    model = {"architecture": "auto", "network": "custom_networks:Sound"}
    spec = resolve({"dataset": {"name": "sprites"}, "model": model})
    assert spec.model.architecture == "mlp"
    assert group_size(spec, members=8, slots=2) == 1  # nothing is known of how it would be stacked
