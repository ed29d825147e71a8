"""The atlas on posteriors in which it is known what goes on, appears, splits, merges and ends."""

import json
import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from vaefrag_core.artifacts import Atlas, Posteriors, SpaceMatrix
from vaefrag_core.config import AtlasConfig
from vaefrag_core.errors import InvalidInputError
from vaefrag_core.structure.atlas import SweepEnsemble, draw_atlas
from vaefrag_core.structure.hotspots import find_hotspots
from vaefrag_core.structure.matrices import compare_across, compare_channels

MEMBERS = 4
BITS = np.array([[image >> bit & 1 for image in range(256)] for bit in range(8)])  # eight independent coins
SAMPLE = "planted, 256 images"

# Each value's fragments, as the coins that they tell. From the first to the second value (0,) goes on, (1, 2, 6)
# splits, (3, 7) and (4,) merge, and (5,) appears; then (5,) ends.
VALUES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((0,), (1, 2, 6), (3, 7), (4,)),
    ((0,), (1, 6), (2,), (3, 4, 7), (5,)),
    ((0,), (1, 6), (2,), (3, 4, 7)),
)


def planted(fragments: Sequence[Sequence[int]], seed: int) -> Posteriors:
    """Give members with one sharp channel for each fragment, each at another place, and a dead one."""
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(MEMBERS):
        codes = [sum(BITS[bit] * 2**place for place, bit in enumerate(coins)) for coins in fragments]
        channels = np.array([*codes, np.zeros(256)])[rng.permutation(len(codes) + 1)]
        means.append(channels.T * 10.0 * rng.choice([-1, 1]))
    return Posteriors(np.array(means), np.full(np.shape(means), -4.0), sample_id=SAMPLE)


def stop_at(value: float, posteriors: Posteriors) -> SweepEnsemble:
    matrix = compare_channels(posteriors)
    return SweepEnsemble.at_end(value, f"at-{value:g}", posteriors, (matrix, find_hotspots(matrix)))


@pytest.fixture(scope="module")
def stops() -> list[SweepEnsemble]:
    return [stop_at(2.0**k, planted(fragments, k)) for k, fragments in enumerate(VALUES)]


@pytest.fixture(scope="module")
def atlas(stops: list[SweepEnsemble]) -> Atlas:
    return draw_atlas(stops)


def told_by(stop: SweepEnsemble) -> list[tuple[int, ...]]:
    """Say which coins each hotspot tells, from the posteriors of its medoid."""
    mean, _ = stop.posteriors.flat()
    found = []
    for group in stop.groups:
        values = mean[group.medoid]
        fragments = [f for value in VALUES for f in value]
        codes = {f: sum(BITS[bit] * 2**place for place, bit in enumerate(f)) for f in fragments}
        found.append(next(f for f, code in codes.items() if abs(np.corrcoef(code, values)[0, 1]) > 0.999))
    return found


def test_the_plants_are_the_hotspots(stops: list[SweepEnsemble]) -> None:
    assert [sorted(told_by(stop)) for stop in stops] == [sorted(value) for value in VALUES]


def test_links_are_what_fragments_share(stops: list[SweepEnsemble], atlas: Atlas) -> None:
    for step, square in enumerate(atlas.cross):
        rows, columns = told_by(stops[step]), told_by(stops[step + 1])
        # of hard clusterings: I / √(H H′), and coins that both tell are all that is shared
        expected = [[len(set(a) & set(b)) / math.sqrt(len(a) * len(b)) for b in columns] for a in rows]
        np.testing.assert_allclose(square, expected, atol=1e-4)


def test_what_goes_on_appears_splits_merges_and_ends(stops: list[SweepEnsemble], atlas: Atlas) -> None:
    fates = [
        {coins: atlas.fate(step, label) for label, coins in enumerate(told_by(stop))} for step, stop in enumerate(stops)
    ]
    assert fates[0] == {(0,): (0, 1), (1, 2, 6): (0, 2), (3, 7): (0, 1), (4,): (0, 1)}
    assert fates[1] == {(0,): (1, 1), (1, 6): (1, 1), (2,): (1, 1), (3, 4, 7): (2, 1), (5,): (0, 0)}
    assert fates[2] == {(0,): (1, 0), (1, 6): (1, 0), (2,): (1, 0), (3, 4, 7): (1, 0)}


def test_a_thread_goes_on_as_what_is_most_alike(stops: list[SweepEnsemble], atlas: Atlas) -> None:
    first, second, third = (
        dict(zip(told_by(stop), lineages, strict=True)) for stop, lineages in zip(stops, atlas.lineages, strict=True)
    )
    assert second[(0,)] == first[(0,)]
    assert second[(1, 6)] == first[(1, 2, 6)]
    assert second[(3, 4, 7)] == first[(3, 7)]
    assert not {second[(2,)], second[(5,)]} & set(first.values())
    assert third == {coins: second[coins] for coins in third}


def test_reversed_values_give_the_atlas_reversed(stops: list[SweepEnsemble], atlas: Atlas) -> None:
    back = draw_atlas(stops[::-1])
    assert back.points == atlas.points[::-1]
    for found, expected in zip(back.cross, atlas.cross[::-1], strict=True):
        np.testing.assert_allclose(found, expected.T, atol=1e-6)
    assert {(link.source, link.target) for link in back.links if link.step == 0} == {
        (link.target, link.source) for link in atlas.links if link.step == 1
    }

    def together(drawn: Atlas, places: Sequence[int]) -> set[frozenset[tuple[int, int]]]:
        found: dict[int, set[tuple[int, int]]] = {}
        for place, lineages in zip(places, drawn.lineages, strict=True):
            for label, lineage in enumerate(lineages):
                found.setdefault(lineage, set()).add((place, label))
        return {frozenset(group) for group in found.values()}

    assert together(back, [2, 1, 0]) == together(atlas, [0, 1, 2])


def test_each_point_counts_what_its_ensemble_shows(stops: list[SweepEnsemble]) -> None:
    arrays = {field.name: np.zeros(4) for field in fields(SpaceMatrix)}
    arrays |= {"member_ids": np.arange(4), "information_bits": np.array([7.0, 7.5, 8, 8])}
    space = SpaceMatrix(**arrays | {"n_images": 256, "draws": 100, "shuffles": 1, "input_entropy_bits": None})
    whole = replace(stops[0], spaces=space)
    first, second = (draw_atlas([stop]).points[0] for stop in (whole, stops[1]))
    assert (first.live_channels, second.live_channels) == ((4,) * 4, (5,) * 4)
    assert sorted(first.bits) == pytest.approx(sorted([1.0, 3, 2, 1] * 4), abs=1e-3)
    assert first.summed_bits == pytest.approx([1.0 + 3 + 2 + 1] * 4, abs=1e-3)
    assert first.space_bits == (7, 7.5, 8, 8)
    assert second.space_bits == ()
    assert [group.n_members for group in second.hotspots] == [4] * 5
    assert second.tightness == pytest.approx(1, abs=1e-3)


def test_links_begin_at_the_nmi_that_was_asked_for(stops: list[SweepEnsemble]) -> None:
    strict = draw_atlas(stops[:2], AtlasConfig(min_nmi=0.7))
    assert sorted(round(link.nmi, 3) for link in strict.links) == [0.816, 0.816, 1.0]


def test_the_rectangle_is_the_block_of_the_full_matrix() -> None:
    rng = np.random.default_rng(5)
    scale = np.logspace(-2, 1, 6)
    mean = rng.normal(size=(2, 70, 6)) * scale
    both = Posteriors(mean + 0.3 * scale * rng.normal(size=(1, 70, 6)), rng.normal(-1, 0.5, (2, 70, 6)))
    expected = compare_channels(both).nmi[:6, 6:]
    means, logvars = both.flat()
    found = compare_across((means[:6], logvars[:6]), (means[6:], logvars[6:]))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    back = compare_across((means[6:], logvars[6:]), (means[:6], logvars[:6]))
    np.testing.assert_allclose(back, found.T, atol=1e-6)


def test_progress_reaches_its_end_and_can_end_the_work(stops: list[SweepEnsemble]) -> None:
    told: list[tuple[int, int]] = []
    draw_atlas(stops, on_progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (512, 512)

    def stop(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        draw_atlas(stops, on_progress=stop)


def test_a_value_without_hotspots_links_to_nothing(stops: list[SweepEnsemble]) -> None:
    dead = stop_at(9.0, Posteriors(np.zeros((4, 256, 2)), np.zeros((4, 256, 2)), sample_id=SAMPLE))
    atlas = draw_atlas([stops[0], dead, stops[1]])
    assert atlas.links == ()
    assert [square.shape for square in atlas.cross] == [(4, 0), (0, 5)]
    assert math.isnan(atlas.points[1].tightness)
    assert len({lineage for row in atlas.lineages for lineage in row}) == 9


@pytest.mark.parametrize("sample", [None, "another, 256 images"])
def test_ensembles_on_different_samples_are_refused(stops: list[SweepEnsemble], sample: str | None) -> None:
    other = Posteriors(stops[1].posteriors.mean, stops[1].posteriors.logvar, sample_id=sample)
    strange = replace(stops[1], ensemble_id="strange", posteriors=other)
    with pytest.raises(InvalidInputError, match=r"Expected all ensembles on one fingerprint sample.*of strange"):
        draw_atlas([stops[0], strange])
    with pytest.raises(InvalidInputError, match="at least one value"):
        draw_atlas([])


def test_what_was_drawn_is_read_back(atlas: Atlas, tmp_path: Path) -> None:
    atlas.save(tmp_path)
    read = Atlas.load(tmp_path)
    assert (read.points, read.lineages, read.links) == (atlas.points, atlas.lineages, atlas.links)
    assert (read.min_nmi, read.n_images) == (atlas.min_nmi, 256)


def test_an_atlas_of_an_earlier_version_opens(atlas: Atlas, tmp_path: Path) -> None:
    # Lineages have been stored as "threads" from the beginning.
    atlas.save(tmp_path)
    (facts,) = tmp_path.glob("*.json")
    content = json.loads(facts.read_text())
    assert set(content) == {"points", "threads", "min_nmi", "n_images", "steps"}
    assert tuple(map(tuple, content["threads"])) == atlas.lineages
