"""Channels laid out in the plane, similar ones together.

References: Kruskal, J. B. (1964). Multidimensional scaling by optimizing goodness of fit to a nonmetric
hypothesis. Psychometrika 29, 1-27. McInnes, L., Healy, J., Melville, J. (2018). UMAP: uniform manifold
approximation and projection. https://arxiv.org/abs/1802.03426
"""

import warnings

import numpy as np

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import ChannelMap, ChannelMatrix
from vaefrag_core.config import HotspotConfig, MapConfig
from vaefrag_core.structure.hotspots import channel_distance, comparable_channels


def map_channels(
    matrix: ChannelMatrix, hotspots: HotspotConfig | None = None, config: MapConfig | None = None
) -> ChannelMap:
    """Lay out the channels by MDS and by UMAP, on the distances that hotspots are found with.

    Args:
        matrix: the comparison of C channels.
        hotspots: says which measure makes the distances and which channels are dead.
        config: settings of the layouts.

    Returns:
        Two layouts, the same on every call with the same seed. Channels that are dead, or cannot be compared, are NaN.
    """
    hotspots, config = hotspots or HotspotConfig(), config or MapConfig()
    channels = comparable_channels(matrix, hotspots)
    distance = channel_distance(matrix, hotspots)[np.ix_(channels, channels)]
    mds, umap = np.full((2, matrix.n_channels, 2), np.nan)
    if len(channels) < 3:
        kind = "channels that can be compared" if matrix.saturated.any() else "live channels"
        return ChannelMap(mds, umap, stress=0.0, messages=(f"Too few {kind} for a map.",))
    mds[channels], stress = _mds(distance, config)
    umap[channels], messages = _umap(distance, config)
    return ChannelMap(mds, umap, stress, messages)


def _mds(distance: FloatArray, config: MapConfig) -> tuple[FloatArray, float]:
    if not distance.any():  # equal channels lie on one point; the stress of no distances would be 0/0
        return np.zeros((len(distance), 2)), 0.0
    from sklearn.manifold import MDS

    mds = MDS(
        metric="precomputed", init="classical_mds", n_init=1, random_state=config.seed, normalized_stress=True, eps=1e-6
    )
    layout = mds.fit_transform(distance)
    return _on_principal_axes(layout), float(mds.stress_)


def _umap(distance: FloatArray, config: MapConfig) -> tuple[FloatArray, tuple[str, ...]]:
    count = len(distance)
    messages: tuple[str, ...] = ()
    neighbors = config.neighbors
    if neighbors > count - 1:
        neighbors = count - 1
        messages = (f"UMAP looked at {neighbors} neighbours, not {config.neighbors}: there are {count} live channels.",)
    from vaefrag_core.measures.numba_compile import keep_compiled

    with warnings.catch_warnings():
        # An optional part of UMAP wants tensorflow; the others follow from what is asked for: distances, and a seed.
        warnings.filterwarnings("ignore", category=ImportWarning)
        warnings.filterwarnings("ignore", message="using precomputed metric", category=UserWarning)
        warnings.filterwarnings("ignore", message="n_jobs value", category=UserWarning)
        from umap import UMAP

        keep_compiled("umap", "pynndescent")
        layout = UMAP(
            metric="precomputed",
            n_neighbors=max(2, neighbors),
            min_dist=config.min_distance,
            # spectral initialization needs clearly more points than dimensions
            init="spectral" if count > 10 else "random",
            random_state=config.seed,
        ).fit_transform(distance)
    return _on_principal_axes(np.asarray(layout, dtype=np.float64)), messages


def _on_principal_axes(layout: FloatArray) -> FloatArray:
    """Turn a layout to its principal axes, heavier side right and up: the rotation that a seed leaves says nothing."""
    centred = layout - layout.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    turned = centred @ axes.T
    skew = (turned**3).sum(axis=0)
    return np.asarray(turned * np.where(skew < 0, -1.0, 1.0))
