"""Encoding gives what each network says, whatever the batch."""

import numpy as np
import pytest
import torch

from vaefrag_core import encoding
from vaefrag_core.config import FingerprintConfig, ModelConfig
from vaefrag_core.datasets.digits import digits
from vaefrag_core.datasets.fingerprint import draw_fingerprint
from vaefrag_core.encoding import encode_members
from vaefrag_core.models.vae import build_member


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
