"""The stages of a fusion in order: fuse, evaluate, distil an encoder; stopped and resumed between."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vaefrag_core.array_types import Float32Array
from vaefrag_core.artifacts import FusedSpace, Posteriors
from vaefrag_core.config import FusionConfig, ModelConfig
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.ensemble_record import ImportedSource, TrainedSource
from vaefrag_core.ensemble_store import EnsembleStore, make_private_folder, replacing, write_text
from vaefrag_core.errors import InvalidInputError, VaefragError
from vaefrag_core.fusion_store import FusionStore, fusion_id_of
from vaefrag_core.structure.label_factors import factors_of
from vaefrag_core.synthesis.distillation import distill_encoder
from vaefrag_core.synthesis.evaluation import label_information, probe_labels, ring_discontinuity
from vaefrag_core.synthesis.fusion import FusionStep, fuse_learners
from vaefrag_core.synthesis.learner_spaces import LearnerSpaces, select_learners

MAX_PROBED_LABELS = 6
MOST_IMAGES = 10_000  # whose pairs, 800 MB for each space, are still held
EVALUATION_FORMAT = 2  # of a report; what an older one says is worked out anew when the same is fused again

FusionStage = Literal["fuse", "judge", "distil"]
OnFusion = Callable[[FusionStage, float, FusionStep | None], None]


def fuse_ensemble(
    ensemble_id: str,
    store: EnsembleStore,
    config: FusionConfig | None = None,
    *,
    on_stage: OnFusion = lambda stage, share, step: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[str, FusedSpace]:
    """Fuse members or channels of one or several ensembles, or go on where that was stopped, and evaluate the result.

    What is there already is not done again. An encoder that could not be taught is tried again.

    Args:
        ensemble_id: an ensemble with posteriors.
        store: where it lives, and the fusion will.
        config: what to fuse, and how.
        on_stage: called with the stage, the share of it that is done, and the step of a fusion; an exception that it
            raises ends the work, and the same call goes on with it.
        should_stop: called after every step of the fusion; once it returns True, the best so far is kept as the
            result, and is not evaluated.

    Returns:
        The fusion's id and the fused space; `FusionStore.report` returns the evaluation.

    Raises:
        InvalidInputError: when `config` names what cannot be fused.
        MissingDataError: when there is no such ensemble, or no posteriors yet.
    """
    config = config or FusionConfig()
    fusions = FusionStore(store)
    # Read once: an ensemble may gain members meanwhile, and what is fused has to be what the id names.
    sources = fusions.sources(ensemble_id, config)
    posteriors, fusion_id = sources[ensemble_id], fusion_id_of(sources, config)
    if posteriors.n_images > MOST_IMAGES:
        raise InvalidInputError(
            f"Expected at most {MOST_IMAGES:,} images to fuse spaces on, as every two are held against each other in"
            f" each space, got {posteriors.n_images:,}. Train with a smaller --fingerprint-size."
        )
    learners = select_learners(posteriors, config, home=ensemble_id, others=sources)
    folder = fusions.folder(ensemble_id, fusion_id)
    path = folder / "fused.npz"
    fused = _load(path)
    if fused is None or fused.end == "stopped":
        on_stage("fuse", 0.0, None)
        make_private_folder(folder)
        fused = fuse_learners(
            learners,
            config,
            on_progress=lambda step: on_stage("fuse", step.step / step.steps, step),
            should_stop=should_stop,
            state=folder / "state.safetensors",
        )
        # A worker that learns late that it was stopped must not undo what the next attempt has finished meanwhile.
        saved = _load(path) if fused.end == "stopped" else None
        if saved is None or saved.end == "stopped":
            with replacing(path) as temporary:
                fused.save(temporary)
    if fused.end == "stopped":
        return fusion_id, fused
    report = fusions.report(ensemble_id, fusion_id)
    evaluated = report.get("format") == EVALUATION_FORMAT
    if not evaluated or report.get("encoder") is None:
        evaluation = report if evaluated else _evaluate(ensemble_id, store, posteriors, learners, fused, on_stage)
        encoder, note = report.get("encoder"), report.get("encoder_note", "")
        if encoder is None:
            encoder, note = _distill(ensemble_id, store, posteriors, fused, fusion_id, on_stage)
        write_text(
            folder / "report.json", json.dumps(evaluation | {"encoder": encoder, "encoder_note": note}, indent=1)
        )
    return fusion_id, fused


def _load(path: Path) -> FusedSpace | None:
    """Read a fused space; None when there is none yet."""
    return FusedSpace.load(path) if path.is_file() else None


def _evaluate(
    ensemble_id: str,
    store: EnsembleStore,
    posteriors: Posteriors,
    learners: LearnerSpaces,
    fused: FusedSpace,
    on_stage: OnFusion,
) -> dict[str, Any]:
    """Measure by criteria that were not optimized what was gained; JSON content."""
    on_stage("judge", 0.0, None)
    factors = factors_of(posteriors)
    labels = dict(zip(factors.names[:MAX_PROBED_LABELS], factors.classes, strict=False))
    report: dict[str, Any] = {"format": EVALUATION_FORMAT, "probes": [], "label_bits": [], "notes": [*factors.messages]}
    spaces = list(zip(learners.mean, learners.logvar, strict=True))
    space, copies = (fused.mean, fused.logvar), posteriors.image_copies
    try:
        probes = probe_labels(
            space, spaces, labels, copy_of=copies, on_progress=lambda share: on_stage("judge", 0.9 * share, None)
        )
        report["probes"] = [
            {"label": probe.label, "kind": probe.reading, "chance": probe.chance, "spaces": probe.summary()}
            for probe in probes
        ]
        report["label_bits"] = label_information(space, spaces, labels, copy_of=copies)
    except InvalidInputError as error:
        report["notes"].append(str(error))
    on_stage("judge", 1.0, None)
    source = store.record(ensemble_id).source
    if isinstance(source, TrainedSource) and source.spec.dataset.name == "circle":
        # Its points lie on a ring, in the order of the data set.
        ring = np.argsort(draw_fingerprint(load_dataset(source.spec.dataset), source.spec.fingerprint).index)
        of_learners = [ring_discontinuity(mean[ring]) for mean in learners.mean]
        report["continuity"] = {"fused": ring_discontinuity(fused.mean[ring]), "learners": of_learners}
    return report


def _distill(
    ensemble_id: str,
    store: EnsembleStore,
    posteriors: Posteriors,
    fused: FusedSpace,
    fusion_id: str,
    on_stage: OnFusion,
) -> tuple[dict[str, Any] | None, str]:
    """Teach an encoder the fused space and save it; return its facts, or None and why there is no encoder."""
    on_stage("distil", 0.0, None)
    try:
        images, model = _images(ensemble_id, store, posteriors)
    except VaefragError as error:
        return None, str(error)
    try:
        encoder = distill_encoder(
            fused, images, model, on_progress=lambda step, steps: on_stage("distil", step / steps, None)
        )
    except InvalidInputError as error:  # no wider: what `on_stage` raises to end a job may be a VaefragError
        return None, str(error)
    with replacing(FusionStore(store).folder(ensemble_id, fusion_id) / "encoder.safetensors") as temporary:
        encoder.save(temporary)
    return encoder.facts(), ""


def _images(ensemble_id: str, store: EnsembleStore, posteriors: Posteriors) -> tuple[Float32Array, ModelConfig]:
    """Return the images of the sample as a network takes them, and the model to encode them with.

    Raises:
        VaefragError: when they are not at hand.
    """
    match store.record(ensemble_id).source:
        case ImportedSource():
            stored = posteriors.images
            if stored is None:
                raise InvalidInputError(
                    "The posteriors came without images, so there is nothing to teach an encoder with."
                )
            planes = stored[:, None] if stored.ndim == 3 else stored.transpose(0, 3, 1, 2)
            return np.ascontiguousarray(planes, dtype=np.float32) / np.float32(255), ModelConfig()
        case TrainedSource(spec=spec):
            dataset = load_dataset(spec.dataset)
            sample = draw_fingerprint(dataset, spec.fingerprint)
            if sample.sample_id != posteriors.sample_id:
                raise InvalidInputError("The data set holds other images than those that were encoded.")
            return dataset.batch(sample.index), spec.model
