"""Shapes, bounds and seeds of a member's network."""

import pytest
import torch

from vaefrag_core.config import Architecture, ModelConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.models.networks import build_networks
from vaefrag_core.models.vae import LOGVAR_RANGE, build_member, member_seed, restore_member


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (ModelConfig(widths=(20, 10), activation="tanh", channels=3), (3, 5, 4)),
        (ModelConfig(architecture="conv28", channels=7), (1, 28, 28)),
        (ModelConfig(architecture="conv28", channels=2), (3, 28, 28)),
        (ModelConfig(architecture="conv64", channels=10), (1, 64, 64)),
        (ModelConfig(architecture="conv64", channels=4), (3, 64, 64)),
    ],
)
def test_images_come_back_in_their_shape(config: ModelConfig, shape: tuple[int, int, int]) -> None:
    vae = build_member(shape, config, seed=1)
    images = torch.rand(2, *shape)
    result = vae(images, torch.zeros(2, config.channels))
    assert result.output.shape == images.shape
    assert result.mean.shape == result.logvar.shape == (2, config.channels)
    painted = vae.decode(result.mean)
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_the_paper_s_network_has_its_layers() -> None:
    encoder, _ = build_networks((1, 28, 28), ModelConfig(architecture="conv28"))
    sizes = [tuple(p.shape) for name, p in encoder.named_parameters() if name.endswith("weight")]
    assert sizes == [(32, 1, 4, 4), (64, 32, 4, 4), (256, 3136), (20, 256)]


def test_the_network_of_locatello_2019_has_its_layers() -> None:
    networks = build_networks((3, 64, 64), ModelConfig(architecture="conv64"))
    encoder, decoder = (
        [tuple(p.shape) for name, p in network.named_parameters() if name.endswith("weight")] for network in networks
    )
    assert encoder == [(32, 3, 4, 4), (32, 32, 4, 4), (64, 32, 4, 4), (64, 64, 4, 4), (256, 1024), (20, 256)]
    assert decoder == [(256, 10), (1024, 256), (64, 64, 4, 4), (64, 32, 4, 4), (32, 32, 4, 4), (32, 3, 4, 4)]


def test_noise_moves_the_sample_by_its_standard_deviations() -> None:
    vae = build_member((1, 4, 4), ModelConfig(widths=(8,), channels=2), seed=0)
    images, noise = torch.rand(3, 1, 4, 4), torch.randn(3, 2)
    mean, logvar = vae.encode(images)
    torch.testing.assert_close(vae(images, noise).output, vae.decoder(mean + (logvar / 2).exp() * noise))


def test_ln_variance_is_bounded() -> None:
    vae = build_member((1, 4, 4), ModelConfig(widths=(8,), channels=2), seed=0)
    with torch.no_grad():
        vae.encoder.layers[-1].bias[2:] = torch.tensor([1e4, -1e4])
    _, logvar = vae.encode(torch.zeros(1, 1, 4, 4))
    assert logvar.tolist() == [[LOGVAR_RANGE[1], LOGVAR_RANGE[0]]]


def test_a_seed_decides_the_weights_and_leaves_the_global_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, same, other = (build_member((1, 4, 4), ModelConfig(), seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["encoder.layers.0.weight"], other["encoder.layers.0.weight"])


def test_members_seeds_differ_and_do_not_follow_from_each_other() -> None:
    seeds = {member_seed(seed, member) for seed in range(20) for member in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_member_is_restored_from_its_weights() -> None:
    config = ModelConfig(widths=(8,), channels=2)
    vae = build_member((1, 4, 4), config, seed=0)
    weights = {name: p.detach().numpy() for name, p in vae.named_parameters()}
    images = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(
        restore_member((1, 4, 4), config, weights).encode(images), vae.encode(images), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("architecture", "side", "message"),
    [
        ("conv28", 8, r"conv28 expects images of 28×28 pixels, got 8×8\. Use the architecture mlp\."),
        ("conv64", 28, r"conv64 expects images of 64×64 pixels, got 28×28\. Use the architecture conv28\."),
    ],
)
def test_convolutions_refuse_other_images(architecture: Architecture, side: int, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        build_networks((1, side, side), ModelConfig(architecture=architecture))
