"""What a workspace knows of one ensemble: where its posteriors come from, what it is called, and its id.

    TrainedSource     members that are trained here, by a spec
    ImportedSource    posteriors that another program has made

Whoever needs to know which of the two it is matches on the type.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from vaefrag_core.config import Config, EnsembleSpec, legacy_spec_key
from vaefrag_core.config_errors import parse
from vaefrag_core.errors import MissingDataError

TRAINED_FORMAT = 1
IMPORTED_FORMAT = 2  # format 1 wrote imported ensembles as the spec of a data set called "imported"
IMPORTED = "imported"
KEY_DIGITS = 8  # of the spec's key, at the end of an ensemble's id


class TrainedSource(Config):
    """Members that are trained here.

    Args:
        spec: what they are trained by.
    """

    spec: EnsembleSpec

    @property
    def name(self) -> str:
        """What the ensemble is called on the pages."""
        return self.spec.name

    @property
    def n_members(self) -> int:
        """M, trained or not."""
        return self.spec.members

    @property
    def snapshots(self) -> int:
        """How many encoders of each member are kept on its way."""
        return self.spec.train.snapshots

    @property
    def remedy(self) -> str:
        """How its posteriors are made anew."""
        return "Delete it and repeat `vaefrag train` with the same settings: members that are trained stay as they are."


class ImportedSource(Config):
    """Posteriors that another program has made: there is nothing to train.

    Args:
        name: what the ensemble is called on the pages.
        posteriors_key: the key of the posteriors.
        members: M.
        images: N.
    """

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)] = Field(
        description="what the ensemble is called on the pages"
    )
    posteriors_key: str = Field(description="the key of the posteriors")
    members: int = Field(ge=1, le=10_000, description="members whose posteriors these are")
    images: int = Field(ge=2, le=1_000_000, description="images in the sample")

    @property
    def n_members(self) -> int:
        """M."""
        return self.members

    @property
    def snapshots(self) -> int:
        """None is known of its training."""
        return 0

    @property
    def remedy(self) -> str:
        """How its posteriors are made anew."""
        return "Delete it and repeat `vaefrag import` with the file that it came from."


@dataclass(frozen=True)
class EnsembleRecord:
    """What the workspace knows about an ensemble.

    Args:
        id: its folder's name.
        source: where its posteriors come from.
        created: when, ISO 8601, UTC.
        versions: the packages that made it, and their versions.
    """

    id: str
    source: TrainedSource | ImportedSource
    created: str
    versions: Mapping[str, str]

    @property
    def name(self) -> str:
        """What the ensemble is called on the pages."""
        return self.source.name

    @property
    def spec(self) -> EnsembleSpec:
        """What its members are trained by.

        Raises:
            MissingDataError: when it was imported.
        """
        if isinstance(self.source, TrainedSource):
            return self.source.spec
        raise MissingDataError(f"{self.name} was imported: nothing is known of how it was trained.")

    def with_identifiers(self, names: tuple[str, ...]) -> "EnsembleRecord":
        """Return the record of the same trained ensemble with these labels of its data set declared identifiers."""
        dataset = self.spec.dataset.model_copy(update={"identifiers": names})
        return replace(self, source=TrainedSource(spec=self.spec.model_copy(update={"dataset": dataset})))


def source_to_json(source: TrainedSource | ImportedSource) -> dict[str, Any]:
    """Return the part of spec.json that says where posteriors come from."""
    match source:
        case TrainedSource(spec=spec):
            return {"format": TRAINED_FORMAT, "spec": spec.model_dump(mode="json")}
        case ImportedSource():
            return {"format": IMPORTED_FORMAT, IMPORTED: source.model_dump(mode="json")}


def source_from_json(content: Mapping[str, Any]) -> TrainedSource | ImportedSource:
    """Read the part of spec.json that says where posteriors come from, as any version has written it.

    Raises:
        InvalidInputError: when a value is out of bounds or of another type than expected.
        KeyError: when there is neither a spec nor an import.
    """
    # By what is there, not by the number of the format: format 1 wrote both kinds as specs.
    if IMPORTED in content:
        return parse(ImportedSource, content[IMPORTED])
    spec = parse(EnsembleSpec, content["spec"])
    if spec.dataset.name != IMPORTED:
        return TrainedSource(spec=spec)
    return ImportedSource(
        name=spec.name, posteriors_key=spec.dataset.path or "", members=spec.members, images=spec.fingerprint.size
    )


def ensemble_id_of(spec: EnsembleSpec) -> str:
    """Return the id that a new ensemble gets: readable words first, then what makes it unique.

    Example:
        >>> ensemble_id_of(EnsembleSpec())
        'digits-beta-vae-1-395269cd'
    """
    train = spec.train
    coefficient = getattr(train, train.declaration.coefficients[0])
    return _slug(f"{spec.dataset.name}-{train.objective}-{_decimal(coefficient)}", spec.key)


def earlier_ids_of(spec: EnsembleSpec) -> list[str]:
    """Return the ids by which versions up to 0.1 knew an ensemble, the likeliest first.

    They wrote β whatever the objective read, so that equal specs had several ids, 1e6 like 1e-6, and a key that also
    hung on settings of the network that were not read.
    """
    words = f"{spec.dataset.name}-{spec.train.objective}-{spec.train.beta:g}"
    return list(dict.fromkeys(_slug(words, key) for key in (spec.key, legacy_spec_key(spec))))


def _decimal(value: float) -> str:
    """Write a number without an exponent: no sign of one could be told from a hyphen of the id."""
    text = format(Decimal(f"{value:g}"), "f")
    return text if len(text) <= 12 else f"{value:g}"


def _slug(words: str, key: str) -> str:
    return f"{re.sub(r'[^a-z0-9.]+', '-', words.lower()).strip('-.')}-{key[:KEY_DIGITS]}"


def record_to_text(source: TrainedSource | ImportedSource, created: str, versions: Mapping[str, str]) -> str:
    """Return the content of spec.json."""
    facts = source_to_json(source) | {"created": created, "versions": dict(versions)}
    return json.dumps(facts, indent=1, ensure_ascii=False)
