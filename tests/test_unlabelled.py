"""Images without labels go all the way: trained, analysed, measured, fused and shown."""

from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from vaefrag_core import pipeline
from vaefrag_core.config import FusionConfig, SpaceConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.fusion_pipeline import fuse_ensemble
from vaefrag_core.fusion_store import FusionStore
from vaefrag_core.spec_validation import resolve
from vaefrag_core.structure.member_metrics import member_metrics
from vaefrag_core.synthesis.combination import combine
from webpages import Tab, app_of


@pytest.mark.parametrize("kind", ["npz", "images"])
def test_images_without_labels_are_explored(tmp_path: Path, kind: str) -> None:
    pictures = (load_digits().images[:200] / 16 * 255).astype(np.uint8)
    if kind == "npz":
        path = tmp_path / "digits.npy"
        np.save(path, pictures)
    else:
        path = tmp_path / "digits"
        path.mkdir()
        for k, picture in enumerate(pictures):
            Image.fromarray(picture).save(path / f"{k}.png")
    spec = resolve(
        {
            "dataset": {"name": kind, "path": str(path)},
            "model": {"architecture": "mlp", "widths": [32], "channels": 3},
            "train": {"steps": 200, "beta": 0.1, "learning_rate": 1e-2, "snapshots": 3},
            "fingerprint": {"size": 100},
            "members": 3,
        }
    )
    store = EnsembleStore(tmp_path / "workspace")
    pipeline.train(spec, store)
    (ensemble_id,) = store.ids()
    analysis = pipeline.analyze(ensemble_id, store)
    posteriors = store.posteriors(ensemble_id)
    assert posteriors.labels is None
    assert analysis.matrix.label_names == ()
    assert analysis.traversals is not None
    assert analysis.traversals.base.tolist() == [0, 1, 2, 3]
    assert np.isfinite(pipeline.analyze_spaces(ensemble_id, store, SpaceConfig(draws=200)).information_bits).all()
    assert member_metrics(posteriors, 0).factors == ()
    assert combine(posteriors, [0, 1]).label_names == ()
    fusion_id, fused = fuse_ensemble(ensemble_id, store, FusionConfig(steps=20, restarts=1, dimension=2))
    assert np.isfinite(fused.mean).all()
    assert FusionStore(store).report(ensemble_id, fusion_id)["probes"] == []

    app = app_of(store, tmp_path / "cache")
    for search in ("", "?channel=0.0", "?pair=0.0,1.1", "?channels=0.0,1.1,2.2"):
        assert "Similarity of channels" in Tab(app, f"/ensemble/{ensemble_id}", search).words
    assert "The set: 2 channels" in Tab(app, "/combine", f"?channels={quote(ensemble_id)}:0.0,1.1").words
    assert "3 learners fused" in Tab(app, f"/fusion/{fusion_id}").words
