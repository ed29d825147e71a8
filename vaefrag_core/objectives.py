"""The objectives that a VAE can be trained with: one entry each, from which config, command line and form are made.

Loads no torch. The loss of each objective, by the same name, is in `vaefrag_core.models.losses`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

Objective = Literal["beta-vae", "annealed-vae", "beta-tcvae", "factor-vae", "dip-vae-i", "dip-vae-ii"]
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=8)]


@dataclass(frozen=True)
class SettingLabels:
    """How a setting of an objective is written where people read it.

    Args:
        label: its name in the form.
        hint: the sentence below its box in the form.
        symbol: the letter in names of ensembles, "β=4"; "" keeps it out of them.
        flag: its command line option, where that is not made from the field's name.
        coefficient: whether it is a term of the loss, so that a sweep can go over it.
    """

    label: str
    hint: str
    symbol: str = ""
    flag: str = ""
    coefficient: bool = True


class ObjectiveSettings(BaseModel):
    """The objective and every setting that some objective reads and another does not."""

    model_config = ConfigDict(frozen=True)

    objective: Objective = Field("beta-vae", description=f"one of {', '.join(get_args(Objective))}")
    beta: Annotated[
        float, SettingLabels("β", "Weight of the KL term: the larger, the fewer bits channels may carry.", symbol="β")
    ] = Field(
        1.0,
        ge=0,
        le=1e6,
        allow_inf_nan=False,
        description="weight of the KL term; in beta-tcvae, of the total correlation",
    )
    # Defaults within the grids of Locatello et al. 2019: γ = 1000 over 100,000 steps with C of 5 to 100; γ of
    # factor-vae from 10 to 100; λ_od of 1 to 50 with λ_d = 10 λ_od for DIP-VAE-I and λ_d = λ_od for DIP-VAE-II.
    gamma: Annotated[float, SettingLabels("γ", "Weight of the KL's distance from the capacity.", symbol="γ")] = Field(
        1_000.0, ge=0, le=1e6, allow_inf_nan=False, description="annealed-vae: weight of the KL's distance from C"
    )
    capacity_nats: Annotated[
        float, SettingLabels("Capacity C", "KL that is allowed at the end, nats.", symbol="C", flag="--capacity")
    ] = Field(
        25.0, ge=0, le=1e4, allow_inf_nan=False, description="annealed-vae: KL that is allowed at the end, C, nats"
    )
    capacity_steps: Annotated[int, SettingLabels("Capacity steps", "Over which C grows from 0.")] = Field(
        100_000, ge=1, description="annealed-vae: steps over which C grows from 0"
    )
    gamma_tc: Annotated[float, SettingLabels("γ", "Weight of the total correlation between channels.", symbol="γ")] = (
        Field(10.0, ge=0, le=1e6, allow_inf_nan=False, description="factor-vae: weight γ of the total correlation")
    )
    discriminator_widths: Annotated[
        Widths,
        SettingLabels(
            "Discriminator",
            "Hidden layers of the network that estimates the total correlation: units of each, separated by commas.",
            coefficient=False,
        ),
    ] = Field((256, 256, 256), description="factor-vae: units of each hidden layer of the discriminator")
    discriminator_learning_rate: Annotated[
        float, SettingLabels("Discriminator's learning rate", "Of its own Adam.", coefficient=False)
    ] = Field(1e-4, gt=0, le=1, allow_inf_nan=False, description="factor-vae: learning rate of the discriminator")
    lambda_od: Annotated[
        float, SettingLabels("λ off the diagonal", "Weight of the covariances between channels.", symbol="λod")
    ] = Field(10.0, ge=0, le=1e6, allow_inf_nan=False, description="dip-vae: weight of covariances between channels")
    lambda_d: Annotated[
        float,
        SettingLabels(
            "λ on the diagonal",
            "Weight of the variances' distance from 1. Left empty: 100 of dip-vae-i, λ off the diagonal of dip-vae-ii.",
            symbol="λd",
        ),
    ] = Field(
        100.0,
        ge=0,
        le=1e6,
        allow_inf_nan=False,
        description="dip-vae: weight of the variances' distance from 1; of dip-vae-ii by default λ_od",
    )

    @model_validator(mode="before")
    @classmethod
    def _lambda_d_of_dip_vae_ii(cls, values: Any) -> Any:
        """Take λ_d = λ_od for DIP-VAE-II: the aggregate posterior's variances are near 1 anyway."""
        if not isinstance(values, Mapping) or values.get("objective") != "dip-vae-ii" or "lambda_d" in values:
            return values
        off_diagonal = values.get("lambda_od", cls.model_fields["lambda_od"].default)
        return {**values, "lambda_d": off_diagonal}

    @property
    def declaration(self) -> "ObjectiveDeclaration":
        """The entry of the objective in `OBJECTIVES`."""
        return OBJECTIVES[self.objective]

    @property
    def unread_settings(self) -> frozenset[str]:
        """The settings of other objectives: nothing in training depends on them."""
        return frozenset(SETTINGS) - frozenset(self.declaration.settings)

    @property
    def title(self) -> str:
        """The objective and its coefficients as people write them: beta-vae β=4."""
        # In the order of the declaration, so that the coefficient that stands in ids comes first.
        symbols = ((name, SETTINGS[name].labels.symbol) for name in self.declaration.settings)
        return " ".join([self.objective, *(f"{symbol}={getattr(self, name):g}" for name, symbol in symbols if symbol)])


@dataclass(frozen=True)
class ObjectiveDeclaration:
    """What is to be known of an objective without its loss.

    Args:
        formula: its loss, of the reconstruction R and the KL of each channel.
        reference: the paper it is from.
        settings: the fields of `ObjectiveSettings` that it reads; the first coefficient stands in ids of ensembles.
        discriminator: whether its total correlation is estimated by a network that is trained beside the VAE.
    """

    formula: str
    reference: str
    settings: tuple[str, ...]
    discriminator: bool = False

    @property
    def coefficients(self) -> tuple[str, ...]:
        """The settings that are terms of its loss."""
        return tuple(name for name in self.settings if SETTINGS[name].labels.coefficient)


OBJECTIVES: Mapping[Objective, ObjectiveDeclaration] = {
    "beta-vae": ObjectiveDeclaration("R + β Σ KL", "Higgins et al. 2017", ("beta",)),
    "annealed-vae": ObjectiveDeclaration(
        "R + γ |Σ KL − C|, C growing from 0",
        "Burgess et al. 2018, arXiv 1804.03599",
        ("gamma", "capacity_nats", "capacity_steps"),
    ),
    "beta-tcvae": ObjectiveDeclaration("R + Σ KL + (β − 1) TC", "Chen et al. 2018, arXiv 1802.04942", ("beta",)),
    "factor-vae": ObjectiveDeclaration(
        "R + Σ KL + γ TC, TC told by a discriminator",
        "Kim & Mnih 2018, arXiv 1802.05983",
        ("gamma_tc", "discriminator_widths", "discriminator_learning_rate"),
        discriminator=True,
    ),
    "dip-vae-i": ObjectiveDeclaration(
        "R + β Σ KL + λod Σᵢ≠ⱼ Covᵢⱼ² + λd Σᵢ (Covᵢᵢ − 1)², Cov of the means",
        "Kumar et al. 2018, arXiv 1711.00848",
        ("beta", "lambda_od", "lambda_d"),
    ),
    "dip-vae-ii": ObjectiveDeclaration(
        "the same, Cov of the aggregate posterior", "the same", ("beta", "lambda_od", "lambda_d")
    ),
}


@dataclass(frozen=True)
class Setting:
    """One setting that some objective reads.

    Args:
        name: its field of `ObjectiveSettings`.
        field: default and description, as the config has them.
        labels: how people read it.
    """

    name: str
    field: FieldInfo
    labels: SettingLabels

    @property
    def default(self) -> Any:
        """The value where none is given."""
        return self.field.default

    @property
    def kind(self) -> Literal["whole number", "number", "widths"]:
        """What a value of it is."""
        if self.field.annotation is int:
            return "whole number"
        return "number" if self.field.annotation is float else "widths"

    @property
    def flag(self) -> str:
        """The option of `vaefrag train`: --capacity-steps."""
        return self.labels.flag or f"--{self.name.replace('_', '-')}"

    @property
    def readers(self) -> tuple[Objective, ...]:
        """The objectives that read it."""
        return tuple(name for name, declaration in OBJECTIVES.items() if self.name in declaration.settings)


def _settings() -> dict[str, Setting]:
    # Pydantic keeps what Annotated holds besides a type in `metadata`, with its own bounds among it.
    settings = {}
    for name, field in ObjectiveSettings.model_fields.items():
        labels = next((part for part in field.metadata if isinstance(part, SettingLabels)), None)
        if labels is not None:
            settings[name] = Setting(name, field, labels)
    return settings


SETTINGS: Mapping[str, Setting] = _settings()
