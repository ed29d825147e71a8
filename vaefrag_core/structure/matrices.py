"""Information and similarity of all pairs of channels, and of every channel with every label."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vaefrag_core.array_types import FloatArray
from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.structure.chance_level import chance_factors, dealt_panel
from vaefrag_core.structure.label_factors import Label, read_labels
from vaefrag_core.structure.pairwise_information import Progress, Rows, shared_bits

OWN_BITS_FLOOR = 1e-20  # below, what a channel's own draws repeat is zero but for rounding in the inputs


def compare_channels(
    posteriors: Posteriors,
    *,
    known: ChannelMatrix | None = None,
    device: str | torch.device = "cpu",
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> ChannelMatrix:
    """Compare every channel with every other, and with every label on the images of which it is known.

    Args:
        posteriors: of M members on N images.
        known: what was found before. Pairs of members that it holds, with the same posteriors, are taken from it.
        device: where the products are computed.
        threads: on a CPU; as many as torch uses when not given. The result does not depend on it.
        on_progress: called with images done and N; an exception that it raises ends the work.

    Returns:
        Information, NMI and VI as `vaefrag_core.measures` defines them, to 1e-6; NMI is NaN where a channel tells
        nothing apart; and for every channel its factor of chance, see `chance_level`. Memory: (C, N)
        and (C, C) arrays and 64 MB.

    Reference:
        Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). https://arxiv.org/abs/2405.21042
    """
    mean, logvar = posteriors.flat()
    old, place = _found_before(posteriors, known)
    # Known channels first: what is left to do is then one rectangle and one triangle.
    count = len(mean)
    order = np.concatenate([old, np.setdiff1d(np.arange(count), old)]).astype(np.int64)
    labels = read_labels(posteriors.labels, tuple(posteriors.label_names or ()))
    whole = [f for f, label in enumerate(labels) if label.known.all()]
    codes = np.array([labels[f].codes for f in whole], dtype=np.int64).reshape(len(whole), posteriors.n_images)
    dealt_mean, dealt_logvar, chosen = dealt_panel(mean[order], logvar[order])
    rows = Rows(
        np.concatenate([mean[order], dealt_mean]),
        np.concatenate([logvar[order], dealt_logvar]),
        codes,
        known=len(old),
    )
    information, shared = shared_bits(rows, device=device, threads=threads, on_progress=on_progress)
    nmi, vi_bits = _normalize(shared)
    twice = 2 * information - shared.diagonal()
    if known is not None and len(old):
        for square, before in ((nmi, known.nmi), (vi_bits, known.vi_bits)):
            square[: len(old), : len(old)] = np.asarray(before)[np.ix_(place, place)]
    back, label = np.argsort(order), np.arange(count + len(chosen), len(shared))
    of_labels = _LabelColumns.empty(count, len(labels))
    of_labels.bits[whole] = information[label]
    of_labels.nmi[:, whole], of_labels.vi_bits[:, whole] = nmi[np.ix_(back, label)], vi_bits[np.ix_(back, label)]
    _fill_partly_known(of_labels, labels, mean, logvar, device, threads)
    chance = chance_factors(nmi[:, count : count + len(chosen)], chosen)
    return ChannelMatrix(
        channel_names=posteriors.channel_names,
        information_bits=information[back],
        information_twice_bits=twice[back],
        nmi=nmi[np.ix_(back, back)],
        vi_bits=vi_bits[np.ix_(back, back)],
        n_images=posteriors.n_images,
        label_names=tuple(posteriors.label_names or ()),
        label_bits=of_labels.bits,
        label_nmi=of_labels.nmi,
        label_vi_bits=of_labels.vi_bits,
        chance=chance[back],
        label_chance=_placed(chance[label], whole, len(labels)),
        identifiers=tuple(label.name for label in labels if label.identifier),
        messages=(
            *([posteriors.copies_message] if posteriors.copies_message else []),
            *(message for label in labels for message in label.messages),
        ),
        input_entropy_bits=posteriors.input_entropy_bits,
        member_keys=posteriors.member_keys,
    )


def compare_across(
    first: tuple[FloatArray, FloatArray],
    second: tuple[FloatArray, FloatArray],
    *,
    device: str | torch.device = "cpu",
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> FloatArray:
    """Compare each channel of one group with each of another, and nothing else.

    Args:
        first: means and ln σ² of U channels on N images, (U, N) each, as `Posteriors.flat` gives them.
        second: the same of V channels on the same images.
        device: where the products are computed.
        threads: on a CPU; as many as torch uses when not given. The result does not depend on it.
        on_progress: called with images done and N; an exception that it raises ends the work.

    Returns:
        NMI (U, V), the block that `compare_channels` would find for all of them; NaN where a channel tells nothing.
    """
    (mean, logvar), (other_mean, other_logvar) = first, second
    rows = Rows(
        np.concatenate([mean, other_mean]),
        np.concatenate([logvar, other_logvar]),
        np.zeros((0, mean.shape[1]), dtype=np.int64),
        known=len(mean),
        across=True,
    )
    _, shared = shared_bits(rows, device=device, threads=threads, on_progress=on_progress)
    nmi, _ = _normalize(shared)
    return np.asarray(nmi[: len(mean), len(mean) :])


@dataclass(frozen=True, eq=False)
class _LabelColumns:
    """What channels share with labels: bits (F,), nmi (C, F), vi_bits (C, F); NaN where it cannot be told."""

    bits: FloatArray
    nmi: FloatArray
    vi_bits: FloatArray

    @classmethod
    def empty(cls, channels: int, labels: int) -> "_LabelColumns":
        return cls(np.full(labels, np.nan), *np.full((2, channels, labels), np.nan))


def _fill_partly_known(
    columns: _LabelColumns,
    labels: list[Label],
    mean: FloatArray,
    logvar: FloatArray,
    device: str | torch.device,
    threads: int | None,
) -> None:
    """Compare the channels with labels that are not known of all images, on those of which they are."""
    together: dict[bytes, list[int]] = {}  # labels that are known of the same images
    for f, label in enumerate(labels):
        if 2 <= label.known.sum() < len(label.known):
            together.setdefault(label.known.tobytes(), []).append(f)
    for fs in together.values():
        known = labels[fs[0]].known
        codes = np.array([labels[f].codes[known] for f in fs])
        rows = Rows(mean[:, known], logvar[:, known], codes, known=len(mean))  # channels among each other: not again
        information, shared = shared_bits(rows, device=device, threads=threads)
        nmi, vi_bits = _normalize(shared)
        here = np.arange(len(mean), len(shared))
        columns.bits[fs] = information[here]
        columns.nmi[:, fs], columns.vi_bits[:, fs] = nmi[: len(mean), here], vi_bits[: len(mean), here]


def _placed(values: FloatArray, places: list[int], count: int) -> FloatArray:
    """Give (count, 2) with the values at their places, NaN elsewhere."""
    table = np.full((count, 2), np.nan)
    table[places] = values
    return table


def _found_before(posteriors: Posteriors, known: ChannelMatrix | None) -> tuple[Any, Any]:
    """Give the channels whose member is in an earlier matrix with the same posteriors, and their places there."""
    nowhere = np.zeros(0, dtype=np.int64)
    if known is None or not known.member_keys:
        return nowhere, nowhere
    starts = np.concatenate([[0], np.flatnonzero(np.diff(known.member)) + 1, [known.n_channels]])
    before = {key: starts[m] for m, key in enumerate(known.member_keys)}
    here, there, start = [], [], 0
    for key, width in zip(posteriors.member_keys, posteriors.channels_of_member, strict=True):
        if key in before:
            here.append(np.arange(start, start + width))
            there.append(np.arange(before[key], before[key] + width))
        start += width
    return (np.concatenate(here), np.concatenate(there)) if here else (nowhere, nowhere)


def _normalize(shared: FloatArray) -> tuple[Any, Any]:
    """Turn shared information into NMI and VI, both (R, R)."""
    own = shared.diagonal().copy()
    scale = np.sqrt(np.where(own > OWN_BITS_FLOOR, own, np.nan))
    nmi = shared / np.outer(scale, scale)
    # 2 I(X;U,V) − I(X;U,U′) − I(X;V,V′) with each joint written as a sum of singles minus what is shared
    vi_bits = np.add.outer(own, own) - 2 * shared
    np.fill_diagonal(vi_bits, 0.0)
    return nmi, vi_bits
