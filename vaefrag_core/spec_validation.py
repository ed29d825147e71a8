"""Validation of an ensemble against its data set, before anything is trained. Loads no torch, so pages can call it."""

from collections.abc import Mapping
from typing import Any

from vaefrag_core.config import ALL_IMAGES, EnsembleSpec
from vaefrag_core.config_errors import parse
from vaefrag_core.datasets.catalog import dataset_identifiers, dataset_size, point_format
from vaefrag_core.errors import InvalidInputError, VaefragError
from vaefrag_core.models.image_shapes import architecture_for, check_image_shape


def resolve(values: Mapping[str, Any]) -> EnsembleSpec:
    """Validate the fields of a spec, and choose the architecture where it is left open.

    Args:
        values: fields of an `EnsembleSpec`. The architecture "auto" becomes conv28 for images of 28×28 pixels,
            conv64 for those of 64×64, and mlp for others; the fingerprint size "all" the number of images.

    Returns:
        A spec that can be trained. Its identifiers are those that were named and those that the data set's file names.

    Raises:
        InvalidInputError: for a value out of bounds, an unknown data set, a fingerprint larger than the data, an
            identifier that is no label, an architecture or a likelihood that does not take the images. `fields` names
            the field at fault.
        MissingDataError: when the data set's files are not to be found.
    """
    model = dict(values.get("model", {}))
    auto = model.get("architecture") == "auto"
    if auto:
        model["architecture"] = "mlp"
    fingerprint = dict(values.get("fingerprint", {}))
    all_images = fingerprint.get("size") == ALL_IMAGES
    if all_images:
        del fingerprint["size"]
    spec = parse(EnsembleSpec, {**values, "model": model, "fingerprint": fingerprint})
    # A spec with some architecture has to be valid first: only its data set tells which one takes the images.
    try:
        n_images, (height, width, image_channels) = dataset_size(spec.dataset)
        identifiers = dataset_identifiers(spec.dataset)
    except VaefragError as error:
        error.fields = error.fields or {"dataset.name": str(error)}
        raise
    if auto and spec.model.network is None:
        model["architecture"] = architecture_for(height, width)
    if all_images:
        fingerprint["size"] = n_images
    dataset = spec.dataset.model_copy(update={"identifiers": identifiers}).model_dump(mode="json")
    spec = parse(EnsembleSpec, {**values, "dataset": dataset, "model": model, "fingerprint": fingerprint})
    if spec.fingerprint.size > n_images:
        sentence = (
            f"The fingerprint asks for {spec.fingerprint.size:,} images; {spec.dataset.name!r} has {n_images:,}."
            " Lower the fingerprint size."
        )
        raise InvalidInputError(sentence, {"fingerprint.size": sentence})
    check_image_shape((image_channels, height, width), spec.model)
    points = point_format(spec.dataset)
    if points is not None and spec.model.likelihood == "bernoulli":
        sentence = (
            f"Likelihood bernoulli expects values in 0…1; those of {spec.dataset.name!r} reach from {points.low:g} to"
            f" {points.high:g}. Use the likelihood gaussian."
        )
        raise InvalidInputError(sentence, {"model.likelihood": sentence})
    return spec
