"""The stages of a fusion in order: fused, judged, taught to an encoder; stopped and resumed between."""

import json
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from vaefrag_core.artifacts import FusedSpace, Posteriors
from vaefrag_core.config import FusionConfig, ModelConfig
from vaefrag_core.datasets.catalog import load_dataset
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.ensemble_record import ImportedSource, TrainedSource
from vaefrag_core.ensemble_store import EnsembleStore, replacing, write_text
from vaefrag_core.errors import InvalidInputError, VaefragError
from vaefrag_core.fusion_store import FusionStore
from vaefrag_core.structure.label_factors import usable_factors
from vaefrag_core.synthesis.distillation import distil
from vaefrag_core.synthesis.evaluation import continuity, probe
from vaefrag_core.synthesis.fusion import FusionStep, fuse_learners
from vaefrag_core.synthesis.learner_spaces import LearnerSpaces

PROBED = 6  # labels at most

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
    """Fuse members or channels of an ensemble or of several, or go on where that was stopped, and judge what came out.

    Args:
        ensemble_id: an ensemble with posteriors.
        store: where it lives, and the fusion will.
        config: what is wanted.
        on_stage: called with the stage at work, the share of it that is done, and the step of a fusion.
        should_stop: asked often; then the best so far is kept as the result, unjudged.

    Returns:
        The fusion's id and the fused space; `FusionStore.report` gives what the judges found.

    Raises:
        InvalidInputError: when what was asked for cannot be fused.
        MissingDataError: when there is no such ensemble, or no posteriors yet.
    """
    config = config or FusionConfig()
    posteriors = store.posteriors(ensemble_id)
    fusions = FusionStore(store)
    learners, fusion_id = fusions.learners(ensemble_id, config), fusions.id_of(ensemble_id, config)
    folder = fusions.folder(ensemble_id, fusion_id)
    path = folder / "fused.npz"
    fused = FusedSpace.load(path) if path.is_file() else None
    if fused is None or fused.end == "stopped":
        on_stage("fuse", 0.0, None)
        folder.mkdir(parents=True, exist_ok=True)
        fused = fuse_learners(
            learners,
            config,
            on_progress=lambda step: on_stage("fuse", step.step / step.steps, step),
            should_stop=should_stop,
            state=folder / "state.safetensors",
        )
        with replacing(path) as temporary:
            fused.save(temporary)
    if fused.end != "stopped" and not (folder / "report.json").is_file():
        report = _judge(ensemble_id, store, posteriors, learners, fused, on_stage)
        report["encoder"], report["encoder_note"] = _teach(ensemble_id, store, posteriors, fused, fusion_id, on_stage)
        write_text(folder / "report.json", json.dumps(report, indent=1))
    return fusion_id, fused


def _judge(
    ensemble_id: str,
    store: EnsembleStore,
    posteriors: Posteriors,
    learners: LearnerSpaces,
    fused: FusedSpace,
    on_stage: OnFusion,
) -> dict[str, Any]:
    """Let judges that were not optimized say what was gained."""
    on_stage("judge", 0.0, None)
    factors = usable_factors(posteriors.labels, tuple(posteriors.label_names or ()), posteriors.n_images)
    probes, notes = [], list(factors.messages)
    for f, (name, classes) in enumerate(zip(factors.names[:PROBED], factors.classes, strict=False)):
        try:
            found = probe(fused.mean, learners.mean, classes, label=name)
            probes.append({"label": name, "kind": found.kind, "spaces": found.summary()})
        except InvalidInputError as error:
            notes.append(str(error))
        on_stage("judge", (f + 1) / min(len(factors.names), PROBED), None)
    report: dict[str, Any] = {"probes": probes, "notes": notes}
    source = store.record(ensemble_id).source
    if isinstance(source, TrainedSource) and source.spec.dataset.name == "circle":
        # Its points lie on a ring, in the order of the data set.
        ring = np.argsort(draw_fingerprint(load_dataset(source.spec.dataset), source.spec.fingerprint).index)
        torn = [continuity(mean[ring]) for mean in learners.mean]
        report["continuity"] = {"fused": continuity(fused.mean[ring]), "learners": torn}
    return report


def _teach(
    ensemble_id: str,
    store: EnsembleStore,
    posteriors: Posteriors,
    fused: FusedSpace,
    fusion_id: str,
    on_stage: OnFusion,
) -> tuple[dict[str, Any] | None, str]:
    """Teach an encoder when the images are at hand; else say why there is none."""
    on_stage("distil", 0.0, None)
    try:
        match store.record(ensemble_id).source:
            case ImportedSource():
                stored = posteriors.images
                if stored is None:
                    return None, "The posteriors came without images, so there is nothing to teach an encoder with."
                planes = stored[:, None] if stored.ndim == 3 else stored.transpose(0, 3, 1, 2)
                images, model = np.ascontiguousarray(planes, dtype=np.float32) / np.float32(255), ModelConfig()
            case TrainedSource(spec=spec):
                dataset = load_dataset(spec.dataset)
                sample = draw_fingerprint(dataset, spec.fingerprint)
                if sample.sample_id != posteriors.sample_id:
                    return None, "The data set holds other images than those that were encoded."
                images, model = dataset.batch(sample.index), spec.model
        taught = distil(fused, images, model, on_progress=lambda step, steps: on_stage("distil", step / steps, None))
    except VaefragError as error:
        return None, str(error)
    with replacing(FusionStore(store).folder(ensemble_id, fusion_id) / "encoder.safetensors") as temporary:
        taught.save(temporary)
    return taught.facts(), ""
