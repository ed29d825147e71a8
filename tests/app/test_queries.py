"""What pages are told is what the core found."""

import numpy as np
import pytest
import torch

from support import Trained
from vaefrag.queries import Queries, channel_posterior, kl_nats, middle_of, nearest, pair_facts, representatives
from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.errors import BrokenFileError, MissingDataError
from vaefrag_core.measures.information import information_bits
from vaefrag_core.models.losses import kl_nats as training_kl


def test_a_damaged_folder_hides_no_other(
    queries: Queries, trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = trained.store.workspace / "ensembles" / "aa-damaged"
    folder.mkdir()
    (folder / "spec.json").write_text("{")
    try:
        found = queries.summaries()
    finally:
        (folder / "spec.json").unlink()
        folder.rmdir()
    assert [item.id for item in found] == [trained.id, "aa-damaged"]
    assert "spec.json" in found[1].problem
    assert found[0].hotspots == len(trained.store.analysis(trained.id).hotspots["nmi"].groups)
    assert [status.state for status in queries.members(trained.store.record(trained.id))] == ["done"] * 6


def test_an_analysis_stays_open_until_there_is_a_newer_one(queries: Queries, trained: Trained) -> None:
    first = queries.open(trained.id)
    assert queries.open(trained.id) is first
    index = trained.store.analysis_index(trained.id)
    newer = index.model_copy(update={"posteriors_key": "another"})
    try:
        trained.store.save_analysis_index(trained.id, newer)
        assert queries.open(trained.id).version != first.version
    finally:
        trained.store.save_analysis_index(trained.id, index)


def test_an_unknown_ensemble_is_missing(queries: Queries) -> None:
    with pytest.raises(MissingDataError, match="no ensemble 'nowhere'"):
        queries.open("nowhere")


def test_a_lost_array_is_a_broken_file(queries: Queries, trained: Trained) -> None:
    index = trained.store.analysis_index(trained.id)
    path = trained.store.folder(trained.id) / "analysis" / index.matrix / "vi_bits.npy"
    hidden = path.rename(path.with_suffix(".hidden"))
    try:
        with pytest.raises(BrokenFileError, match=f"run `vaefrag analyze {trained.id}`"):
            queries.open(trained.id)
    finally:
        hidden.rename(path)


def test_dead_channels_come_last_or_not_at_all(queries: Queries, trained: Trained) -> None:
    opened = queries.open(trained.id)
    dead = opened.hotspots("nmi").dead
    everything, live = opened.order("nmi", dead=True), opened.order("nmi", dead=False)
    assert sorted(everything) == list(range(36))
    assert list(everything[: len(live)]) == list(live)
    assert not dead[live].any()
    assert dead[everything[len(live) :]].all()


def test_joint_information_of_a_pair_is_that_of_the_product_space(queries: Queries, trained: Trained) -> None:
    from vaefrag_core.measures.gaussian import bhattacharyya_distance

    opened = queries.open(trained.id)
    posteriors = trained.store.posteriors(trained.id)
    u, v = opened.order("nmi", dead=False)[[0, 5]]
    distances = []
    for channel in (u, v):
        mean, logvar = (torch.as_tensor(a)[:, None] for a in channel_posterior(posteriors, int(channel)))
        distances.append(bhattacharyya_distance(mean, logvar))
    joint = float(information_bits(distances[0] + distances[1]))
    assert pair_facts(opened.matrix, int(u), int(v)).joint_bits == pytest.approx(joint, abs=1e-4)


def test_a_flat_channel_is_found_in_members_of_different_size() -> None:
    mean = [np.zeros((4, 2)), np.full((4, 3), 7.0), np.ones((4, 1))]
    mean[1][:, 2] = 9
    posteriors = Posteriors(mean, [np.zeros_like(m) for m in mean])
    assert [channel_posterior(posteriors, c)[0][0] for c in range(6)] == [0, 0, 7, 7, 9, 1]


def test_the_kl_shown_is_the_kl_trained_with(trained: Trained) -> None:
    posteriors = trained.store.posteriors(trained.id)
    expected = training_kl(torch.as_tensor(posteriors.mean[2]), torch.as_tensor(posteriors.logvar[2]))
    shown = [kl_nats(posteriors, 2 * 6 + d) for d in range(6)]
    assert shown == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.parametrize("measure", ["nmi", "vi"])
def test_neighbours_are_live_others_the_nearest_first(queries: Queries, trained: Trained, measure: str) -> None:
    opened = queries.open(trained.id)
    hotspots = opened.hotspots(measure)
    channel = int(hotspots.order[0])
    found = nearest(opened.matrix, hotspots, channel, measure)
    live = [c for c in np.flatnonzero(~hotspots.dead) if c != channel]
    row = opened.matrix.similarity(measure)[channel]
    best = sorted(live, key=lambda c: -row[c] if measure == "nmi" else row[c])
    assert [other.channel for other in found] == best[: len(found)]
    assert len(found) == 8


def test_representatives_are_of_distinct_members_and_begin_with_the_medoid() -> None:
    nmi = np.array([[1, 0.9, 0.2, 0.8], [0.9, 1, 0.5, 0.5], [0.2, 0.5, 1, 0.5], [0.8, 0.5, 0.5, 1]])
    names = np.array([(0, 0), (1, 0), (1, 1), (2, 0)])
    matrix = ChannelMatrix(names, np.ones(4), np.ones(4), nmi, 1 - nmi, n_images=10)
    assert representatives(matrix, [2, 3, 1, 0], 0, "nmi") == [0, 1, 3]
    assert middle_of(matrix, [0, 1, 2], "nmi") == 1
