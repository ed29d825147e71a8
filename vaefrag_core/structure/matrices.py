"""Information and similarity of all pairs of channels, and of every channel with every label."""

from dataclasses import dataclass

import numpy as np
import torch

from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import ChannelMatrix, Posteriors
from vaefrag_core.measures.channel_states import saturated_channels
from vaefrag_core.measures.gaussian import DEFAULT_DIVERGENCE, Divergence
from vaefrag_core.measures.information_terms import nmi_from_terms, vi_from_terms
from vaefrag_core.structure.chance_level import (
    FEWEST_FITTED,
    LABEL_SHUFFLES,
    chance_factors,
    shuffled_channels,
    shuffled_codes,
)
from vaefrag_core.structure.label_factors import Label, codes_by_images, labels_of
from vaefrag_core.structure.pairwise_information import Progress, Rows, shared_bits
from vaefrag_core.structure.sampling_errors import information_errors
from vaefrag_core.structure.saturation import saturation_messages


def compare_channels(
    posteriors: Posteriors,
    *,
    earlier: ChannelMatrix | None = None,
    divergence: Divergence = DEFAULT_DIVERGENCE,
    device: str | torch.device = "cpu",
    threads: int | None = None,
    on_progress: Progress | None = None,
    errors: bool = False,
) -> ChannelMatrix:
    """Compare every channel with every other, and with every label on the images that have it.

    Args:
        posteriors: M members on N images.
        earlier: a matrix by the same divergence. Pairs of members that it holds, with the same posteriors, are taken
            from it.
        divergence: the one that tells images apart; others than the default take a slower way.
        device: where the products are computed.
        threads: CPU threads, by default as many as torch uses. The result does not depend on it.
        on_progress: called with images done and N; an exception that it raises ends the work.
        errors: whether standard errors of the information are worked out, too.

    Returns:
        Information, NMI and VI as `vaefrag_core.measures` defines them, to 1e-6 (to 1e-4 where posteriors of σ below a
        hundred-thousandth of what parts them lie in several places of a channel), and for every channel its factors of
        the chance level, see `chance_level`. NMI is NaN where a channel tells nothing apart, and where it tells every
        image from every other. Memory: (C, N) and (C, C) arrays and 64 MB.

    Example:
        >>> mean = np.random.default_rng(0).normal(size=(2, 50, 1))
        >>> compare_channels(Posteriors(mean, np.full_like(mean, -2.0))).nmi.shape
        (2, 2)

    Reference:
        Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). https://arxiv.org/abs/2405.21042
    """
    mean, logvar = posteriors.flat()
    count, n_images = mean.shape
    reused, source = _reusable_channels(posteriors, earlier)
    # Reused channels first: the pairs that are left to compare are then one rectangle and one triangle.
    order = np.concatenate([reused, np.setdiff1d(np.arange(count), reused)]).astype(np.int64)
    labels = labels_of(posteriors)
    shuffled_mean, shuffled_logvar, shuffled = shuffled_channels(mean[order], logvar[order], posteriors.image_copies)
    # A level for all pairs takes several shuffled channels to fit; with fewer, labels are shuffled themselves.
    fitted = len(shuffled) >= FEWEST_FITTED
    beside = [f for f, label in enumerate(labels) if fitted and label.labelled.all() and not label.identifier]
    codes = np.array([labels[f].codes for f in beside], dtype=np.int64).reshape(len(beside), n_images)
    rows = Rows(
        np.concatenate([mean[order], shuffled_mean]),
        np.concatenate([logvar[order], shuffled_logvar]),
        codes,
        n_first=len(reused),
        divergence=divergence,
    )
    information, shared = shared_bits(rows, device=device, threads=threads, on_progress=on_progress)
    twice = 2 * information - shared.diagonal()
    ceiling_bits = posteriors.input_entropy_bits
    nmi, vi_bits = _similarity(shared, information, count + len(shuffled), n_images, ceiling_bits)
    if earlier is not None and len(reused):
        both = np.ix_(source, source)
        nmi[: len(reused), : len(reused)] = np.asarray(earlier.nmi)[both]
        vi_bits[: len(reused), : len(reused)] = np.asarray(earlier.vi_bits)[both]
    saturated = saturated_channels(information[:count], n_images, ceiling_bits)
    nmi[:count][saturated] = nmi[:, :count][:, saturated] = np.nan  # those of an earlier version as well
    back, label_rows = np.argsort(order), np.arange(count + len(shuffled), len(shared))
    columns = _LabelColumns.undefined(count, len(labels))
    columns.bits[beside] = information[label_rows]
    columns.nmi[:, beside] = nmi[np.ix_(back, label_rows)]
    columns.vi_bits[:, beside] = vi_bits[np.ix_(back, label_rows)]
    chance = chance_factors(nmi[:, count : count + len(shuffled)], shuffled)
    label_chance = np.full((len(labels), 4), np.nan)
    label_chance[beside] = chance[label_rows]
    channels = Rows(mean, logvar, codes, divergence=divergence)
    _fill_others(columns, labels, beside, channels, posteriors.image_copies, device, threads)
    return ChannelMatrix(
        channel_names=posteriors.channel_names,
        information_bits=information[back],
        information_twice_bits=twice[back],
        nmi=nmi[np.ix_(back, back)],
        vi_bits=vi_bits[np.ix_(back, back)],
        n_images=n_images,
        label_names=tuple(posteriors.label_names or ()),
        label_bits=columns.bits,
        label_nmi=columns.nmi,
        label_vi_bits=columns.vi_bits,
        chance=chance[back],
        label_chance=label_chance,
        label_shuffled_nmi=columns.shuffled_nmi,
        label_images=np.array([label.labelled.sum() for label in labels], dtype=np.int64),
        label_bins=np.array([label.bins for label in labels], dtype=np.int64),
        identifiers=tuple(label.name for label in labels if label.identifier),
        messages=(
            *([posteriors.copies_message] if posteriors.copies_message else []),
            *saturation_messages(mean, saturated[back]),
            *(message for label in labels for message in label.messages),
        ),
        input_entropy_bits=ceiling_bits,
        member_keys=posteriors.member_keys,
        diverged=posteriors.diverged_members,
        information_error=information_errors(mean, logvar, divergence) if errors else np.zeros(0),
    )


def compare_across(
    first: tuple[FloatArray, FloatArray],
    second: tuple[FloatArray, FloatArray],
    *,
    divergence: Divergence = DEFAULT_DIVERGENCE,
    device: str | torch.device = "cpu",
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> FloatArray:
    """Compare each channel of one group with each of another, and nothing else.

    Args:
        first: means and ln σ² of U channels on N images, (U, N) each, as `Posteriors.flat` returns them.
        second: the same of V channels on the same images.
        divergence: the one that tells images apart.
        device: where the products are computed.
        threads: CPU threads, by default as many as torch uses. The result does not depend on it.
        on_progress: called with images done and N; an exception that it raises ends the work.

    Returns:
        NMI (U, V), the block that `compare_channels` has for all of them; NaN where it is undefined.

    Example:
        >>> mean = np.random.default_rng(0).normal(size=(3, 50))
        >>> compare_across((mean[:1], mean[:1] * 0 - 2), (mean[1:], mean[1:] * 0 - 2)).shape
        (1, 2)
    """
    (mean, logvar), (other_mean, other_logvar) = first, second
    rows = Rows(
        np.concatenate([mean, other_mean]),
        np.concatenate([logvar, other_logvar]),
        np.zeros((0, mean.shape[1]), dtype=np.int64),
        n_first=len(mean),
        across=True,
        divergence=divergence,
    )
    information, shared = shared_bits(rows, device=device, threads=threads, on_progress=on_progress)
    nmi, _ = _similarity(shared, information, len(shared), mean.shape[1])
    return np.asarray(nmi[: len(mean), len(mean) :])


@dataclass(frozen=True, eq=False)
class _LabelColumns:
    """What channels share with labels: bits (F,); nmi, vi_bits and shuffled_nmi (C, F); NaN where it is undefined."""

    bits: FloatArray
    nmi: FloatArray
    vi_bits: FloatArray
    shuffled_nmi: FloatArray

    @classmethod
    def undefined(cls, channels: int, labels: int) -> "_LabelColumns":
        return cls(np.full(labels, np.nan), *np.full((3, channels, labels), np.nan))


def _fill_others(
    columns: _LabelColumns,
    labels: list[Label],
    beside: list[int],
    channels: Rows,
    copy_of: IntArray,
    device: str | torch.device,
    threads: int | None,
) -> None:
    """Compare the channels with the labels that were not compared beside them, on the images that have them.

    The chance level there is the mean NMI with shuffles of the same label: on fewer images it is another one.
    """
    count = len(channels.mean)
    for labelled, group, codes in codes_by_images(labels):
        if group[0] in beside:  # labels known of the same images are compared together
            continue
        shuffles = np.concatenate([codes, *shuffled_codes(codes, copy_of[labelled])])
        rows = Rows(
            channels.mean[:, labelled],
            channels.logvar[:, labelled],
            shuffles,
            n_first=count,  # channels are not compared among each other again
            divergence=channels.divergence,
        )
        information, shared = shared_bits(rows, device=device, threads=threads)
        nmi, vi_bits = _similarity(shared, information, count, int(labelled.sum()))
        label_rows = np.arange(count, count + len(codes))
        columns.bits[group] = information[label_rows]
        columns.nmi[:, group], columns.vi_bits[:, group] = nmi[:count, label_rows], vi_bits[:count, label_rows]
        by_chance = nmi[:count, count + len(codes) :].reshape(count, LABEL_SHUFFLES, len(codes)).mean(axis=1)
        columns.shuffled_nmi[:, group] = np.maximum(by_chance, 0.0)


def _reusable_channels(posteriors: Posteriors, earlier: ChannelMatrix | None) -> tuple[IntArray, IntArray]:
    """Find the channels whose member is in an earlier matrix with the same posteriors, and their rows there."""
    none = np.zeros(0, dtype=np.int64)
    if earlier is None or not earlier.member_keys:
        return none, none
    starts = np.concatenate([[0], np.flatnonzero(np.diff(earlier.member)) + 1, [earlier.n_channels]])
    start_of = {key: starts[m] for m, key in enumerate(earlier.member_keys)}
    channels, rows, start = [none], [none], 0
    for key, width in zip(posteriors.member_keys, posteriors.channels_of_member, strict=True):
        if key in start_of:
            channels.append(np.arange(start, start + width))
            rows.append(np.arange(start_of[key], start_of[key] + width))
        start += width
    return np.concatenate(channels), np.concatenate(rows)


def _similarity(
    shared: FloatArray, information: FloatArray, n_channels: int, n_images: int, ceiling_bits: float | None = None
) -> tuple[FloatArray, FloatArray]:
    """Turn shared information into NMI and VI, (R, R); labels, the rows after the channels, are never saturated.

    NMI is undefined for channels that tell every image from every other: they share all of log2 N bits with each other,
    and all that a third channel tells, whatever their means are. As clusterings they are equal, so that VI stands.
    """
    own = shared.diagonal().copy()
    nmi = nmi_from_terms(shared, own[:, None], own[None, :], images=n_images)
    saturated = np.flatnonzero(saturated_channels(information[:n_channels], n_images, ceiling_bits))
    nmi[saturated] = nmi[:, saturated] = np.nan
    return nmi, vi_from_terms(shared, own[:, None], own[None, :])
