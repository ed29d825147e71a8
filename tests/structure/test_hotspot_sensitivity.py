"""What other settings would find, on ensembles of which it is known."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from vaefrag_core.artifacts import ChannelMatrix
from vaefrag_core.config import HotspotConfig
from vaefrag_core.structure.hotspot_sensitivity import Sensitivity, hotspot_sensitivity
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import Planted, plant


def blocks(inside: list[float], members: list[int]) -> ChannelMatrix:
    """Build a matrix of fragments: what the channels of each share, and how many members hold it."""
    count = sum(members)
    nmi, start = np.zeros((count, count)), 0
    for value, size in zip(inside, members, strict=True):
        nmi[start : start + size, start : start + size] = value
        start += size
    np.fill_diagonal(nmi, 1.0)
    names = np.array([(m, k) for k, size in enumerate(members) for m in range(size)])
    return ChannelMatrix(names, np.ones(count), np.ones(count), nmi, 2 * (1 - nmi), n_images=100)


def sensitivity_of(matrix: ChannelMatrix, config: HotspotConfig) -> Sensitivity:
    return hotspot_sensitivity(matrix, find_hotspots(matrix, config), config)


def test_each_threshold_takes_away_what_lies_below_it() -> None:
    """Fragments of 8, 5 and 3 of eight members that share .9, .4 and .17: what is left is counted by hand."""
    found = sensitivity_of(blocks([0.9, 0.4, 0.17], [8, 5, 3]), HotspotConfig())
    number = {(other.setting, other.value): other.hotspots for other in found.settings}
    assert found.hotspots == 3
    assert [number["min_similarity", value] for value in (0.05, 0.15, 0.2, 0.3, 0.5)] == [3, 3, 2, 2, 1]
    # A quarter of eight members are two, but never fewer than three; four tenths are four, three quarters are six.
    assert [number["member_share", value] for value in (0.1, 0.3, 0.4, 0.5, 0.75)] == [3, 3, 2, 2, 1]
    assert [number["cohesion", value] for value in (0.4, 0.8)] == [3, 3]
    assert [number["min_samples", value] for value in (3, 5, 8, 15)] == [3, 3, 3, 3]


def test_the_setting_of_the_analysis_is_not_among_the_others() -> None:
    found = sensitivity_of(blocks([0.9], [4]), HotspotConfig(cohesion=0.7, measure="vi", min_samples=5))
    others = {(other.setting, other.value) for other in found.settings}
    assert not others & {("cohesion", 0.7), ("measure", "vi"), ("min_samples", 5)}
    assert {("cohesion", 0.6), ("measure", "nmi"), ("min_samples", 3)} <= others


def test_agreement_is_the_rand_index_of_who_is_in_one_hotspot_with_whom() -> None:
    found = sensitivity_of(blocks([0.9, 0.15, 0.0], [8, 4, 6]), HotspotConfig())
    agreement = {(other.setting, other.value): other.agreement for other in found.settings}
    assert agreement["min_samples", 15] == agreement["min_similarity", 0.05] == 1.0
    # Above .2 the second fragment is no hotspot, and its channels belong to nothing, as the last six never did.
    before, after = [0] * 8 + [1] * 4 + list(range(2, 8)), [0] * 8 + list(range(1, 11))
    assert agreement["min_similarity", 0.2] == pytest.approx(adjusted_rand_score(before, after))
    assert agreement["min_similarity", 0.2] < 1
    nothing = sensitivity_of(blocks([0.03], [6]), HotspotConfig())
    assert {(other.hotspots, other.agreement) for other in nothing.settings} == {(0, 1.0)}


def test_a_fragment_of_just_enough_members_goes_with_any_one_of_them() -> None:
    """Held by members 0, 1 and 2 of eight: without one of these it is in two, without another it stays."""
    found = sensitivity_of(blocks([0.9, 0.8], [8, 3]), HotspotConfig())
    assert [(left_out.member, left_out.hotspots) for left_out in found.members] == [
        (member, 1 if member < 3 else 2) for member in range(8)
    ]
    assert all((left_out.agreement == 1.0) == (left_out.member >= 3) for left_out in found.members)


def test_clear_fragments_do_not_hang_on_a_member_or_a_threshold() -> None:
    posteriors, _ = plant(Planted(members=8, fragments=3, images=200, noise=0.1), seed=3)
    done: list[tuple[int, int]] = []
    matrix = compare_channels(posteriors)
    found = hotspot_sensitivity(
        matrix, find_hotspots(matrix), HotspotConfig(), on_progress=lambda n, total: done.append((n, total))
    )
    assert found.hotspots == 3
    assert {(other.hotspots, other.agreement) for other in found.settings if other.setting != "min_bits"} == {(3, 1.0)}
    assert {(left_out.hotspots, left_out.agreement) for left_out in found.members} == {(3, 1.0)}
    total = len(found.settings) + 8
    assert done == [(n, total) for n in range(1, total + 1)]
