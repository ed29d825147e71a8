"""Settings of papers by one word. Values that are set explicitly win over those of a preset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaefrag_core.errors import InvalidInputError


@dataclass(frozen=True)
class Preset:
    """A paper's setting.

    Args:
        name: the word.
        summary: the setting, in a sentence.
        reference: the paper.
        values: fields of an `EnsembleSpec`, nested as it is.
    """

    name: str
    summary: str
    reference: str
    values: Mapping[str, Any]


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "locatello-2019",
            "β-VAEs on 64×64 sprites by the study of 12,000 models: 10 channels, batch 64, Adam 1e-4, 300,000 steps, 50"
            " seeds; β = 4 of its 1, 2, 4, 6, 8, 16. Our sprites in the place of dSprites.",
            "Locatello et al. 2019, arXiv 1811.12359",
            {
                "dataset": {"name": "sprites"},
                "model": {"architecture": "conv64", "channels": 10, "likelihood": "bernoulli"},
                "train": {
                    "objective": "beta-vae",
                    "beta": 4.0,
                    "steps": 300_000,
                    "batch_size": 64,
                    "learning_rate": 1e-4,
                },
                "members": 50,
            },
        ),
        Preset(
            "murphy-2024-fashion",
            "β-VAEs with β = 4 on Fashion-MNIST: two convolutions, 10 channels. Steps and members are our defaults.",
            "Murphy, Dillavou, Bassett 2024, arXiv 2405.21042",
            {
                "dataset": {"name": "fashion-mnist"},
                "model": {"architecture": "conv28", "channels": 10, "likelihood": "bernoulli"},
                "train": {"objective": "beta-vae", "beta": 4.0, "batch_size": 64, "learning_rate": 1e-3},
            },
        ),
        Preset(
            "circle-so2",
            "β-VAEs with a single channel on points of the circle: two layers of 256 tanh units, squared error, β ="
            " 0.03, Adam 1e-3. One channel cannot hold a circle: each run cuts it somewhere else.",
            "Murphy, Dillavou, Bassett 2024, arXiv 2405.21042",
            {
                "dataset": {"name": "circle"},
                "model": {
                    "architecture": "mlp",
                    "widths": [256, 256],
                    "activation": "tanh",
                    "channels": 1,
                    "likelihood": "mse",
                },
                "train": {"objective": "beta-vae", "beta": 0.03, "learning_rate": 1e-3},
            },
        ),
    )
}


def with_preset(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the fields of a spec from a preset.

    Args:
        name: the preset.
        values: fields of an `EnsembleSpec`; they win over the preset's.

    Returns:
        Fields of an `EnsembleSpec`, for `resolve`.

    Raises:
        InvalidInputError: when there is no such preset.

    Example:
        >>> with_preset("circle-so2", {"train": {"beta": 1.0}})["train"]["learning_rate"]
        0.001
    """
    if name not in PRESETS:
        sentence = f"There is no preset {name!r}. Presets: {', '.join(PRESETS)}."
        raise InvalidInputError(sentence, {"preset": sentence})
    return _overridden(PRESETS[name].values, values)


def _overridden(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values, with those of `overrides` in the place of equal keys."""
    merged = dict(values)
    for key, value in overrides.items():
        existing = merged.get(key)
        nested = isinstance(existing, Mapping) and isinstance(value, Mapping)
        merged[key] = _overridden(existing, value) if nested else value  # type: ignore[arg-type]
    return merged
