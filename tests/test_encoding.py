"""Encoding gives what each network says, whatever the batch."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from vaefrag_core import encoding, pipeline
from vaefrag_core.config import FingerprintConfig, ModelConfig
from vaefrag_core.datasets.base import ImageDataset
from vaefrag_core.datasets.digits import digits
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.encoding import encode_members
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.models.vae import build_member
from vaefrag_core.spec_validation import resolve


def test_rows_are_members_in_ascending_order(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = digits()
    sample = draw_fingerprint(dataset, FingerprintConfig(size=50))
    members = {m: build_member((1, 8, 8), ModelConfig(channels=3), seed=m).eval() for m in (7, 2)}
    monkeypatch.setattr(encoding, "BATCH_IMAGES", 16)
    posteriors = encode_members(dataset, sample, members)
    assert posteriors.member_ids.tolist() == [2, 7]
    assert posteriors.sample_id == sample.sample_id
    np.testing.assert_array_equal(posteriors.images, sample.images)
    with torch.inference_mode():
        mean, logvar = members[7].encode(torch.from_numpy(dataset.batch(sample.index)))
    np.testing.assert_allclose(posteriors.mean[1], mean, atol=1e-6)
    np.testing.assert_allclose(posteriors.logvar[1], logvar, atol=1e-6)


def test_posteriors_kept_on_disk_are_those_kept_in_memory_and_their_files_have_no_name(tmp_path: Path) -> None:
    dataset, config = digits(), FingerprintConfig(size=1_797)
    members = {m: build_member((1, 8, 8), ModelConfig(channels=3), seed=m).eval() for m in range(2)}
    in_memory = encode_members(dataset, draw_fingerprint(dataset, config), members)
    shares: list[tuple[int, int]] = []
    on_disk = encode_members(
        dataset,
        draw_fingerprint(dataset, config, scratch=tmp_path),
        members,
        scratch=tmp_path,
        on_progress=lambda done, n_images: shares.append((done, n_images)),
    )
    for name in ("mean", "logvar", "images", "labels", "copy_of"):
        np.testing.assert_array_equal(getattr(on_disk, name), getattr(in_memory, name))
    assert on_disk.key == in_memory.key
    assert isinstance(on_disk.mean, np.memmap)
    assert shares == [(0, 1797), (500, 1797), (1000, 1797), (1500, 1797), (1797, 1797)]
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_what_is_encoded(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20_000, 4, 4), dtype=np.uint8)
    dataset = ImageDataset("noise", images, (), "drawn")
    sample = draw_fingerprint(dataset, FingerprintConfig(size=20_000), scratch=tmp_path)
    members = {m: build_member((1, 4, 4), ModelConfig(channels=16, widths=(8,)), seed=m).eval() for m in range(4)}
    tracemalloc.start()
    try:
        posteriors = encode_members(dataset, sample, members, scratch=tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert posteriors.mean[0].nbytes * 8 > 10e6  # four members, means and variances
    assert peak < 2e6


def test_networks_that_encode_no_number_are_refused(tmp_path: Path) -> None:
    dataset = digits()
    member = build_member((1, 8, 8), ModelConfig(channels=3), seed=0).eval()
    with torch.no_grad():
        next(member.parameters()).fill_(torch.nan)
    with pytest.raises(InvalidInputError, match="got NaN or infinity in member 0"):
        encode_members(dataset, draw_fingerprint(dataset, FingerprintConfig(size=9)), {0: member}, scratch=tmp_path)


KILLED = """
import os, signal, sys
from vaefrag_core import pipeline
from vaefrag_core.ensemble_store import EnsembleStore

def on_stage(stage, share):
    if share > 0.5:
        os.kill(os.getpid(), signal.SIGKILL)

store = EnsembleStore(sys.argv[1])
pipeline.encode(store.ids()[0], store, on_stage=on_stage)
"""


def test_a_process_killed_half_way_leaves_nothing_and_the_next_one_finishes(tmp_path: Path) -> None:
    values = {
        "model": {"architecture": "mlp", "widths": [8], "channels": 2},
        "train": {"steps": 5},
        "fingerprint": {"size": "all"},
        "members": 2,
    }
    spec, store = resolve(values), EnsembleStore(tmp_path)
    record = store.create(spec)
    pipeline.train_group(spec, range(2), store.members_folder(record.id))
    before = sorted(store.folder(record.id).iterdir())
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    assert sorted(store.folder(record.id).iterdir()) == before
    assert pipeline.update_posteriors(record.id, store).n_images == 1797
    assert store.posteriors(record.id).n_members == 2
