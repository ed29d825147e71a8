"""Every file of a workspace, cut off: whoever reads it says what is wrong and what to do, and hides nothing else."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask_caching import Cache

from support import Trained
from vaefrag.commands.listing import contents
from vaefrag.jobs.job_store import JobStore
from vaefrag.queries import Queries
from vaefrag_core import pipeline
from vaefrag_core.artifacts import ChannelMatrix
from vaefrag_core.config import AnalysisConfig, BootstrapConfig
from vaefrag_core.ensemble_store import EnsembleStore
from vaefrag_core.errors import BrokenFileError, VaefragError
from vaefrag_core.sweeps import SweepStore

BOOTSTRAP = AnalysisConfig(bootstrap=BootstrapConfig(resamples=2))


@contextmanager
def replaced(path: Path, content: bytes | None) -> Iterator[None]:
    """Let a file hold something else, or be gone, for a while."""
    whole = path.read_bytes()
    path.unlink()  # not written in place: arrays of other tests may be mapped from it
    if content is not None:
        path.write_bytes(content)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(whole)


def damages(path: Path) -> list[bytes | None]:
    """Return what becomes of a file: cut off at its end, in the middle, in its header, empty, gone, or another."""
    whole = path.read_bytes()
    lengths = sorted({len(whole) - 1, len(whole) // 2, min(100, len(whole) // 3), 0}, reverse=True)
    return [*(whole[:length] for length in lengths), None, b"{}"]


def files_of(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]


def queries_of(store: EnsembleStore) -> Queries:
    cache = Cache(Flask(__name__), config={"CACHE_TYPE": "NullCache", "CACHE_NO_NULL_WARNING": True})
    return Queries(store, cache)


def check_readers(readers: dict[str, Callable[[], object]], context: str) -> int:
    """Call every reader; an error has to be one of ours, in a sentence. Returns how many raised one."""
    sentences: list[str] = []
    for name, read in readers.items():
        try:
            read()
        except VaefragError as error:
            sentences.append(str(error))
        except Exception as error:
            raise AssertionError(f"{name} of {context} raised {error!r}") from error
    assert all(sentence.endswith(".") for sentence in sentences), (context, sentences)
    if "analysis/" in context:
        assert all("Delete" in sentence or "Run `vaefrag" in sentence for sentence in sentences), (context, sentences)
    return len(sentences)


@pytest.fixture
def analysed(trained: Trained, tmp_path: Path) -> EnsembleStore:
    store = EnsembleStore(tmp_path / "workspace")
    shutil.copytree(trained.store.folder(trained.id), store.folder(trained.id))
    pipeline.analyze(trained.id, store, BOOTSTRAP)
    return store


def test_no_damage_to_an_ensemble_ends_in_a_traceback_or_hides_another(
    trained: Trained, analysed: EnsembleStore
) -> None:
    other = analysed.add(trained.store.posteriors(trained.id), "another")
    workspace, folder = analysed.workspace, analysed.folder(trained.id)
    # Of a checkpoint its member alone is left out; the index is written anew; early analyses had no chance levels.
    tolerated = ("checkpoint.safetensors", "latest.json")
    index = analysed.analysis_index(trained.id)
    shown = {index.matrix, index.traversals, index.stability, *index.hotspots.values(), *index.maps.values()}
    results = [path for path in files_of(folder / "analysis") if set(path.parts) & shown or path.name == "latest.json"]
    others = [path for path in files_of(folder) if "analysis" not in path.parts]
    assert len(results) > 30
    assert len(others) == 2 + 6
    for path in [*others, *results]:
        for number, content in enumerate(damages(path)):
            context = f"{path.relative_to(folder)}, damage {number}"
            latest = (folder / "analysis" / "latest.json").read_bytes()
            with replaced(path, content):
                store = EnsembleStore(workspace)
                queries = queries_of(store)
                listed = contents(store, JobStore(workspace))
                assert other.id in {item["id"] for item in listed["ensembles"]}, context
                assert other.id in {item.id for item in queries.summaries()}, context
                readers: dict[str, Callable[[], object]] = {
                    "the record": lambda store=store: store.record(trained.id),
                    "the posteriors": lambda store=store: store.posteriors(trained.id),
                    "the analysis": lambda store=store: store.analysis(trained.id),
                    "the open analysis": lambda queries=queries: queries.posteriors(queries.open(trained.id)),
                    "the members": lambda queries=queries: queries.members(queries.store.record(trained.id)),
                    "a member's history": lambda queries=queries: queries.history(trained.id, 0),
                    "analyze": lambda store=store: pipeline.analyze(trained.id, store, BOOTSTRAP),
                }
                refused = check_readers(readers, context)
                optional = content is None and path.name in (
                    "checksums.json",  # of which results of before there were any have none
                    "chance.npy",
                    "information_error.npy",
                    "label_chance.npy",
                    "label_shuffled_nmi.npy",
                    "label_images.npy",
                    "label_bins.npy",
                    "label_unbinned_bits.npy",
                )
                assert refused or optional or path.name in tolerated, context
            (folder / "analysis" / "latest.json").write_bytes(latest)


def test_no_damage_to_a_sweep_ends_in_a_traceback(kept: EnsembleStore, tmp_path: Path) -> None:
    shutil.copytree(kept.workspace, tmp_path / "workspace")
    store = EnsembleStore(tmp_path / "workspace")
    sweep_id = SweepStore(store).ids()[0]
    ensemble_id = SweepStore(store).sweep(sweep_id).ensembles[0]
    analysis = store.folder(ensemble_id) / "analysis"
    over_training = [p for p in files_of(analysis) if p.parent.name.startswith(("over-training", "snapshots"))]
    paths = files_of(store.workspace / "sweeps") + over_training
    assert len(paths) > 10
    for path in paths:
        for number, content in enumerate(damages(path)):
            index = (store.workspace / "sweeps" / sweep_id / "latest.json").read_bytes()
            with replaced(path, content):
                sweeps = SweepStore(store)
                readers: dict[str, Callable[[], object]] = {
                    "the sweeps": sweeps.sweeps,
                    "the sweep": lambda sweeps=sweeps: sweeps.sweep(sweep_id),
                    "the atlas": lambda sweeps=sweeps: sweeps.atlas(sweep_id),
                    "the atlas at a step": lambda sweeps=sweeps: sweeps.atlas(sweep_id, 10),
                    "the analysis": lambda: store.analysis(ensemble_id),
                    "follow_hotspots": lambda: pipeline.follow_hotspots(sweep_id, store),
                    "renew_atlases": lambda: pipeline.renew_atlases(ensemble_id, store),
                    "the list": lambda: contents(store, JobStore(store.workspace)),
                }
                check_readers(readers, f"{path.relative_to(store.workspace)}, damage {number}")
            (store.workspace / "sweeps" / sweep_id / "latest.json").write_bytes(index)


def test_what_to_delete_and_run_is_said_and_helps(trained: Trained, analysed: EnsembleStore) -> None:
    index = analysed.analysis_index(trained.id)
    matrix = analysed.folder(trained.id) / "analysis" / index.matrix
    before = np.array(analysed.analysis(trained.id).matrix.nmi)
    path = matrix / "nmi.npy"
    path.write_bytes(path.read_bytes()[:200])
    sentence = rf"nmi\.npy cannot be read .* Delete {matrix} and run `vaefrag analyze"
    for read in (analysed.analysis, lambda key: pipeline.analyze(key, analysed)):
        with pytest.raises(BrokenFileError, match=sentence):
            read(trained.id)
    shutil.rmtree(matrix)
    np.testing.assert_array_equal(np.asarray(pipeline.analyze(trained.id, analysed).matrix.nmi), before)


def test_arrays_that_do_not_fit_each_other_are_refused(trained: Trained, analysed: EnsembleStore) -> None:
    index = analysed.analysis_index(trained.id)
    matrix = analysed.folder(trained.id) / "analysis" / index.matrix
    np.save(matrix / "vi_bits.npy", np.zeros((3, 3), dtype=np.float32))
    with pytest.raises(BrokenFileError, match=r"vi_bits\.npy: expected an array of shape \(36, 36\), got \(3, 3\)\."):
        ChannelMatrix.load(matrix)
    np.save(matrix / "vi_bits.npy", np.array(["text"]))
    with pytest.raises(BrokenFileError, match="expected an array of numbers"):
        ChannelMatrix.load(matrix)


def test_damaged_posteriors_say_how_to_get_them_again(trained: Trained, analysed: EnsembleStore) -> None:
    imported = analysed.add(trained.store.posteriors(trained.id), "another")
    for ensemble_id, remedy in ((trained.id, "repeat `vaefrag train`"), (imported.id, "repeat `vaefrag import`")):
        path = analysed.folder(ensemble_id) / "posteriors.npz"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(BrokenFileError, match=remedy):
            analysed.posteriors(ensemble_id)
    (analysed.folder(trained.id) / "posteriors.npz").unlink()
    assert pipeline.update_posteriors(trained.id, analysed).key == trained.store.posteriors(trained.id).key
