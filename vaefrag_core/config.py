"""Configuration: frozen values, validated once, whose keys name what is computed from them."""

import hashlib
import json
import re
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
    model_validator,
)

from vaefrag_core.objectives import Objective as Objective
from vaefrag_core.objectives import ObjectiveSettings, Widths

Measure = Literal["nmi", "vi"]
Estimator = Literal["bound", "exact"]
DEFAULT_ESTIMATOR: Estimator = "bound"
Architecture = Literal["mlp", "conv28", "conv64"]
Precision = Literal["float32", "bfloat16"]
FusionObjective = Literal["vi", "nmi", "mutual-information", "information-bottleneck"]
DEFAULT_PRICE = 1.5  # of information-bottleneck: what two learners tell is kept, what one tells alone is not
ALL_IMAGES = "all"  # the fingerprint size of a sample that holds every image
Number = Annotated[int, Field(ge=0)]  # the number of a member, or of a channel within one


class Config(BaseModel):
    """A frozen value whose `key` is the same for the same content on every machine."""

    # Unknown fields are refused: a setting that is misspelt would leave its default in force unnoticed.
    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits of the content."""
        return content_key(self.model_dump(mode="json"))


class DatasetConfig(Config):
    """The images that members are trained on."""

    name: str = Field("digits", description="a name listed by `vaefrag datasets`")
    path: str | None = Field(None, description="folder or file, where the data set needs one")
    image_size: int | None = Field(
        None, ge=8, le=512, description="pixels of a side to which pictures of a folder are scaled"
    )
    identifiers: tuple[str, ...] = Field((), description="labels that name images, and are compared with nothing")

    @model_serializer(mode="wrap")
    def _without_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `identifiers` out where there are none: specs and jobs of such ensembles are older than the field."""
        content: dict[str, Any] = dump(self)
        if not self.identifiers:
            content.pop("identifiers", None)
        return content


class ModelConfig(Config):
    """The encoder and decoder of every member.

    `conv28` is the network of the paper for 28×28 images: two convolutions (32 and 64 filters, 4×4, stride
    2), a layer of 256 units, and the mirror image of it as decoder. `conv64`, for 64×64 images, is that of Locatello
    et al. 2019: convolutions of 32, 32, 64 and 64 filters, then the same. `widths` are the hidden layers of `mlp`.
    A `network` of one's own takes the place of all of these; `models/custom_networks.py` says what it must be.
    """

    architecture: Architecture = Field("mlp", description=f"one of {', '.join(get_args(Architecture))}")
    network: str | None = Field(None, description="encoder and decoder of one's own, by import path")
    widths: Widths = Field((128, 128), description="units of each hidden layer of the mlp")
    activation: Literal["relu", "tanh"] = Field("relu", description="one of relu, tanh")
    channels: int = Field(10, ge=1, le=512, description="latent channels of a member")
    likelihood: Literal["bernoulli", "gaussian", "mse"] = Field(
        "bernoulli", description="one of bernoulli, gaussian, mse (squared error, mean over pixels)"
    )
    pixel_variance: float = Field(
        0.05,
        gt=0,
        le=1e3,
        description="fixed variance of a pixel under the gaussian likelihood (images in 0…1)",
    )

    @field_validator("network")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        # Looked at, not imported: a spec is read in processes that must never run another's code.
        if value is not None and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
            raise ValueError("package.module:Class")
        return value

    @property
    def unread_settings(self) -> frozenset[str]:
        """The settings of other networks and likelihoods: nothing in training depends on them."""
        of_networks = frozenset() if self.stackable else frozenset({"widths", "activation"})
        return of_networks | (frozenset() if self.likelihood == "gaussian" else frozenset({"pixel_variance"}))

    @property
    def stackable(self) -> bool:
        """Whether members are trained fastest when one operation steps them all, on a CPU as well."""
        return self.architecture == "mlp" and self.network is None


class TrainConfig(ObjectiveSettings, Config):
    """How every member is trained."""

    steps: int = Field(5_000, ge=1, le=10_000_000, description="gradient steps of a member")
    batch_size: int = Field(64, ge=1, le=65_536, description="images in a step")
    learning_rate: float = Field(1e-3, gt=0, le=1, allow_inf_nan=False, description="learning rate of Adam")
    clip_gradient: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="largest norm of a member's gradient; longer ones are shortened"
    )
    precision: Precision = Field("float32", description="of the networks' products in training: float32 or bfloat16")
    seed: int = Field(0, ge=0, lt=2**63, description="the ensemble's seed; each member's is made from it")
    snapshots: int = Field(0, ge=0, le=50, description="log-spaced steps at which encoders are kept; 0 for none")


class FingerprintConfig(Config):
    """The sample of images on which channels are compared."""

    size: int = Field(1_000, ge=2, le=1_000_000, description="images in the fingerprint sample, or all")
    seed: int = Field(0, ge=0, lt=2**63, description="which images are drawn")

    @field_validator("size", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if value == ALL_IMAGES:
            raise ValueError("a number here; `spec_validation.resolve` takes all, as it knows the data set")
        if isinstance(value, str) and not re.fullmatch(r"\s*[-+]?[\d.]+\s*", value):
            raise ValueError(f"a whole number, or {ALL_IMAGES}")
        return value


class HotspotConfig(Config):
    """How recurring groups of channels are found; docs/method.md says what each constant decides.

    `estimator` says what all information is: the published `bound`, or `exact` integrals.
    `min_bits` sets channels aside that tell the sample's images apart by less than a hundredth of a bit:
    their NMI is a ratio of two vanishing numbers. `nmi_floor` keeps −ln NMI finite.
    """

    measure: Measure = Field("nmi", description="one of nmi, vi")
    estimator: Estimator = Field(DEFAULT_ESTIMATOR, description="of information, one of bound, exact")
    min_bits: float = Field(0.01, ge=0, description="information (bits) below which a channel counts as dead")
    member_share: float = Field(0.25, gt=0, le=1, description="share of the members that a hotspot spans at least")
    cohesion: float = Field(
        0.6, gt=0, le=1, description="share of what either half shares inside that a hotspot's halves share"
    )
    min_similarity: float = Field(0.1, ge=0, lt=1, description="least mean similarity inside, corrected for chance")
    min_samples: int | None = Field(
        None, ge=2, description="neighbours by which OPTICS orders channels; default 0.4 × members"
    )
    nmi_floor: float = Field(1e-4, gt=0, lt=1, description="smallest NMI that the distance −ln NMI resolves")

    @model_validator(mode="before")
    @classmethod
    def _without_xi(cls, values: Any) -> Any:
        """Read the settings of analyses that cut hotspots from the reachability at a relative drop ξ."""
        return {k: v for k, v in values.items() if k != "xi"} if isinstance(values, dict) else values

    @model_serializer(mode="wrap")
    def _without_bound(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `estimator` out where it is the bound: the keys of such analyses are older than the field."""
        content: dict[str, Any] = dump(self)
        if self.estimator == "bound":
            content.pop("estimator", None)
        return content


class MapConfig(Config):
    """How channels are laid out in the plane."""

    seed: int = Field(0, ge=0, lt=2**32, description="seed of the layouts")
    neighbors: int = Field(15, ge=2, le=500, description="neighbours that UMAP keeps together")
    min_distance: float = Field(0.1, ge=0, le=1, description="how tightly UMAP packs points")


class TraversalConfig(Config):
    """The pictures that show what a channel means."""

    base_images: int = Field(4, ge=1, le=64, description="images that are varied")
    values: int = Field(9, ge=3, le=65, description="values of the channel in a row")
    tail: float = Field(
        0.01, gt=0, lt=0.5, description="share of the aggregate posterior left out at either end of the range"
    )


class SpaceConfig(Config):
    """How members are compared by their whole latent spaces.

    Ten thousand draws leave standard errors of about a hundredth of a bit, and of less in NMI.
    """

    draws: int = Field(10_000, ge=100, le=100_000_000, description="draws of the Monte Carlo estimate")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the draws")


class BootstrapConfig(Config):
    """How often hotspots are looked for again, on other draws of members and of images.

    With 100 resamples the share in which a hotspot returns is known to 5 percentage points or better.
    """

    resamples: int = Field(0, ge=0, le=10_000, description="resamples of members, and as many of images; 0 for none")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the resamples")


class NullConfig(Config):
    """What hotspots are held against: ensembles of shuffled images, of turned axes, and of fewer members.

    With 99 draws the least p-value is 0.01.
    """

    draws: int = Field(99, ge=1, le=10_000, description="searches among shuffled images, and as many of turned axes")
    choices: int = Field(20, ge=1, le=1_000, description="of as many members, at each point of their curve")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of all of them")


class AtlasConfig(Config):
    """How the hotspots of a sweep are followed from value to value.

    An NMI of 0.4 is far above what channels show by chance on a thousand images, and below what the halves of a hotspot
    that splits evenly share with it: 0.71 of clean clusterings, less of noisy ones.
    """

    measure: Measure = Field("nmi", description="whose hotspots are followed, one of nmi, vi")
    min_nmi: float = Field(0.4, ge=0, le=1, description="mean NMI from which on two hotspots are linked")


class AnalysisConfig(Config):
    """The settings of `analyze`."""

    hotspots: HotspotConfig = HotspotConfig()
    map: MapConfig = MapConfig()
    traversals: TraversalConfig = TraversalConfig()
    bootstrap: BootstrapConfig = BootstrapConfig()

    @model_serializer(mode="wrap")
    def _without_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `bootstrap` out where there is none: the keys of such analyses are older than the field."""
        content: dict[str, Any] = dump(self)
        if self.bootstrap.resamples == 0:
            content.pop("bootstrap", None)
        return content


def default_analysis(estimator: Estimator) -> AnalysisConfig:
    """Return the settings of an analysis that differs from the default one in its estimator alone."""
    return AnalysisConfig(hotspots=HotspotConfig(estimator=estimator))


class FusionConfig(Config):
    """One space made from many.

    `vi` maximizes the mean of exp(−VI), which has an end: a space that carries too little is as far off as one that
    carries too much. `nmi` and `mutual-information` have none, and are there to be compared with it: NMI rises while
    the space shrinks to nothing, mutual information until every image is told apart. `information-bottleneck` sums
    mutual information over the learners and pays `price` for every bit that the space carries: what more learners than
    that tell is kept.
    """

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)] = Field(
        "", description="what the fused space is called on the pages"
    )
    dimension: int = Field(2, ge=1, le=512, description="channels of the fused space")
    objective: FusionObjective = Field("vi", description="one of vi, nmi, mutual-information, information-bottleneck")
    price: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="of information-bottleneck, for every bit: what more learners than this tell is kept",
    )
    steps: int = Field(1_500, ge=1, le=1_000_000, description="steps of the optimizer at most; it stops when flat")
    restarts: int = Field(3, ge=1, le=64, description="starts, of which the best is kept")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the starts")
    members: tuple[Number, ...] | None = Field(
        None, description="members whose whole latent spaces are fused; all when neither members nor channels are given"
    )
    channels: tuple[tuple[Number, Number] | tuple[str, Number, Number], ...] | None = Field(
        None, description="channels that are fused, each as member and channel; of another ensemble, its id before them"
    )

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits of the content without the name."""
        return content_key(self.content(exclude=frozenset({"name"})))

    def content(self, exclude: frozenset[str]) -> dict[str, Any]:
        """Return what the result depends on as JSON content; a price that is not read is left out, as it once was.

        Args:
            exclude: further fields to leave out.
        """
        return self.model_dump(mode="json", exclude=set(exclude) | ({"price"} if self.price is None else set()))

    @property
    def title(self) -> str:
        """What the fused space is called: its name, or what it is."""
        return self.name or f"{self.dimension}-channel fusion by {self.objective}"

    @property
    def others(self) -> tuple[str, ...]:
        """The ids of ensembles that channels name, each once."""
        return tuple(dict.fromkeys(channel[0] for channel in self.channels or () if len(channel) == 3))

    @model_validator(mode="after")
    def _members_or_channels(self) -> "FusionConfig":
        if self.members is not None and self.channels is not None:
            raise ValueError("either members or channels, got both")
        return self

    @model_validator(mode="after")
    def _price_of_the_bottleneck(self) -> "FusionConfig":
        if self.objective == "information-bottleneck":
            if self.price is None:
                object.__setattr__(self, "price", DEFAULT_PRICE)  # while it is still being built, as below
        elif self.price is not None:
            raise ValueError(f"a price with the objective information-bottleneck only, got one with {self.objective}")
        return self


class EnsembleSpec(Config):
    """What the members of an ensemble are trained by. Equal specs are the same ensemble, whatever it is called."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)] = Field(
        "", description="what the ensemble is called on the pages"
    )
    dataset: DatasetConfig = DatasetConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    fingerprint: FingerprintConfig = FingerprintConfig()
    members: int = Field(20, ge=1, le=10_000, description="VAEs in the ensemble")

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits of the content that training depends on: equal specs have equal keys."""
        # A value that nothing reads is taken for the default, so that the keys of earlier versions hold.
        defaults = ModelConfig()
        unread = {name: getattr(defaults, name) for name in self.model.unread_settings}
        return legacy_spec_key(self.model_copy(update={"model": self.model.model_copy(update=unread)}))

    @model_validator(mode="after")
    def _name_from_content(self) -> "EnsembleSpec":
        if not self.name:
            words = f"{self.dataset.name} {self.train.title}"
            # Past the frozen model's own __setattr__, while it is still being built.
            object.__setattr__(self, "name", words)
        return self


def content_key(content: object) -> str:
    """Return twelve hexadecimal digits of the SHA-256 of JSON content.

    Example:
        >>> content_key({"b": 1, "a": [1.5]}) == content_key({"a": [1.5], "b": 1})
        True
    """
    # Sorted and without blanks: one content has one text, whatever wrote it.
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def legacy_spec_key(spec: EnsembleSpec) -> str:
    """Return the key that versions up to 0.1 gave a spec: it also depends on settings of the network nothing reads."""
    # What was added after ensembles had been trained counts only where it is used: their keys are older.
    omitted = {
        "train": set(spec.train.unread_settings) | _at_default(spec.train, "clip_gradient", "precision", "snapshots"),
        # Identifiers change what is shown of an ensemble, not its training: whoever names one has the same ensemble.
        "dataset": _at_default(spec.dataset, "image_size") | {"identifiers"},
        "model": _at_default(spec.model, "network") or {"architecture", "widths", "activation"},
    }
    return content_key(spec.model_dump(mode="json", exclude={"name": True, **omitted}))


def _at_default(config: Config, *names: str) -> set[str]:
    """Return those of the fields that have their default value."""
    return {name for name in names if getattr(config, name) == type(config).model_fields[name].default}
