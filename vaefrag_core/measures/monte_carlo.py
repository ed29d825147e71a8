"""Information and similarity of whole latent spaces by Monte Carlo: estimates with standard errors instead of a bound.

The N images count as the whole population, each as likely as any other, so that no space tells more than log2 N bits.
Each draw picks an image, and a point from the posterior that each space has for it. All spaces see the same images, so
that the noise of the draws cancels when they are compared.

Reference: Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). Comparing the information content of
probabilistic representation spaces. https://arxiv.org/abs/2405.21042
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaefrag_core.errors import InvalidInputError
from vaefrag_core.measures.information_terms import nmi_from_terms, shared_bits_from_terms, vi_from_terms

BATCHES = 50  # left out one at a time for the standard errors: enough for these to be nearly normal
CHUNK_BYTES = 1.5e8  # of densities held at a time
FAINT_ERRORS = 5.0  # standard errors that own information has to be above 0 by, before anything is divided by it
MIN_LOG_RATIO = -300.0  # nats below the largest: without weight in any sum, and no denormal number, which would be slow


@dataclass(frozen=True, eq=False)
class SpaceEstimates:
    """Information of M spaces and similarity of all pairs, each with its standard error, in bits except NMI.

    Args:
        information: (M,) I(X;U).
        information_error: (M,).
        own: (M,) I(U;U′), what two draws of a space tell alike.
        own_error: (M,).
        vi: (M, M), symmetric, 0 on the diagonal.
        vi_error: (M, M).
        nmi: (M, M), symmetric, 1 on the diagonal; NaN, undefined, of faint spaces, whose own information is within
            5 standard errors of 0.
        nmi_error: (M, M), NaN where NMI is.
    """

    information: Tensor
    information_error: Tensor
    own: Tensor
    own_error: Tensor
    vi: Tensor
    vi_error: Tensor
    nmi: Tensor
    nmi_error: Tensor


def monte_carlo_information(
    mean: Tensor, logvar: Tensor, *, draws: int = 10_000, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Estimate the information that a space carries about its input.

    I(X;U) = E_i E_{u ~ p(u|xᵢ)} log2 [ p(u|xᵢ) / (1/N) Σⱼ p(u|xⱼ) ]

    Args:
        mean: (N, d) posterior means, in latent units.
        logvar: (N, d) ln σ².
        draws: number of draws, at least 100; the standard error falls with its square root.
        generator: source of the draws; one seeded with 0 by default.

    Returns:
        Bits and their standard error, float64.

    Raises:
        InvalidInputError: when the shapes differ or the draws are too few.

    Example:
        Two images that never mix carry one bit:

        >>> monte_carlo_information(torch.tensor([[0.0], [100.0]]), torch.zeros(2, 1), draws=100)
        (tensor(1., dtype=torch.float64), tensor(0., dtype=torch.float64))
    """
    estimates = monte_carlo_comparison([mean], [logvar], draws=draws, generator=generator)
    return estimates.information[0], estimates.information_error[0]


def monte_carlo_comparison(
    means: Sequence[Tensor],
    logvars: Sequence[Tensor],
    *,
    draws: int = 10_000,
    generator: torch.Generator | None = None,
    on_progress: Callable[[int, int], None] = lambda done, draws: None,
) -> SpaceEstimates:
    """Estimate the information of M spaces on the same images, and VI and NMI of every pair.

    VI(U,V) = I(U;U′) + I(V;V′) − 2 I(U;V),   NMI(U,V) = I(U;V) / √( I(U;U′) I(V;V′) )

    What two draws tell alike is averaged draw by draw, log2 p(u,u′) / p(u) p(u′): of a faint space, the information of
    each draw is nearly all noise, which cancels only within the same draw.

    Args:
        means: M posterior means (N, d), in latent units; d may differ from space to space.
        logvars: ln σ², of the same shapes.
        draws: number of draws, at least 100, in 50 batches; standard errors are jackknifed over these.
        generator: source of the draws; one seeded with 0 by default.
        on_progress: called with the draws done and their total; an exception that it raises ends the work.

    Returns:
        Estimates and their standard errors, float64.

    Raises:
        InvalidInputError: when shapes differ or the draws are too few.

    Example:
        >>> mean = torch.tensor([[0.0], [0.0], [100.0], [100.0]])
        >>> estimates = monte_carlo_comparison([mean, -mean], [torch.zeros(4, 1)] * 2, draws=100)
        >>> estimates.nmi[0, 1], estimates.vi[0, 1]
        (tensor(1., dtype=torch.float64), tensor(0., dtype=torch.float64))
    """
    spaces = _validated(means, logvars, draws)
    generator = generator or torch.Generator(spaces[0][0].device).manual_seed(0)
    count, n_images = len(spaces), len(spaces[0][0])
    chunk = max(1, int(CHUNK_BYTES / (8 * n_images * (count + 2))))
    single, own = (torch.zeros(BATCHES, count, dtype=torch.float64) for _ in range(2))
    joint = torch.zeros(BATCHES, count, count, dtype=torch.float64)
    sizes = torch.tensor([draws * (b + 1) // BATCHES - draws * b // BATCHES for b in range(BATCHES)])
    done = 0
    for batch, size in enumerate(sizes.tolist()):
        for start in range(0, size, chunk):
            terms = _terms(spaces, min(chunk, size - start), generator)
            for total, term in zip((single, own, joint), terms, strict=True):
                total[batch] += term
            done += min(chunk, size - start)
            on_progress(done, draws)
    return _estimates(single, own, joint, sizes.double(), n_images)


def _validated(means: Sequence[Tensor], logvars: Sequence[Tensor], draws: int) -> list[tuple[Tensor, Tensor]]:
    shapes = [tuple(m.shape) for m in means]
    if not shapes or shapes != [tuple(v.shape) for v in logvars] or any(len(shape) != 2 for shape in shapes):
        raise InvalidInputError(
            f"Expected means and logvars of one shape (images, dimensions) each, got {shapes} and"
            f" {[tuple(v.shape) for v in logvars]}."
        )
    if len({shape[0] for shape in shapes}) != 1:
        raise InvalidInputError(f"Expected all spaces on the same images, got {sorted({s[0] for s in shapes})} images.")
    if draws < 2 * BATCHES:
        raise InvalidInputError(f"Expected at least {2 * BATCHES} draws, got {draws}: errors would mean nothing.")
    return [(m.double(), v.double()) for m, v in zip(means, logvars, strict=True)]


def _terms(
    spaces: Sequence[tuple[Tensor, Tensor]], draws: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sums over some draws, in bits, whose averages are I(X;U) (M,), I(U;U′) (M,) and I(X;U,V) (M, M)."""
    count, n_images = len(spaces), len(spaces[0][0])
    device = spaces[0][0].device
    image = torch.randint(n_images, (draws,), generator=generator, device=device)
    ratio = torch.empty(draws, count, n_images, dtype=torch.float64, device=device)  # p(u|xⱼ) over its largest
    largest = torch.empty(draws, count, dtype=torch.float64, device=device)  # its logarithm, taken out of the sums
    own = torch.empty(count, dtype=torch.float64)
    log_n = math.log(n_images)
    for m, (mean, logvar) in enumerate(spaces):
        first, second = (_log_ratios(mean, logvar, image, generator) for _ in range(2))
        parts = [log_n - torch.logsumexp(part, dim=1) for part in (first, second, first + second)]
        own[m] = shared_bits_from_terms(*parts).sum().cpu()
        largest[:, m] = first.amax(dim=1)
        torch.exp(first.sub_(largest[:, m, None]).clamp_(min=MIN_LOG_RATIO), out=ratio[:, m])
    # Log-sum-exp for all pairs at once: Σⱼ exp(a_j + b_j) is a matrix product once the largest of a and of b have been
    # taken out. The image drawn keeps it from vanishing: E p(u|xⱼ)/p(u|xᵢ) = 1, so a largest logarithm above ℓ is less
    # likely than N exp(−ℓ).
    products = torch.bmm(ratio, ratio.transpose(1, 2)).log_()
    products += largest[:, :, None] + largest[:, None, :]
    single = ratio.sum(dim=2).log_() + largest
    nats_per_bit = math.log(2)
    return (
        -(single - log_n).sum(dim=0).cpu() / nats_per_bit,
        own / nats_per_bit,
        -(products - log_n).sum(dim=0).cpu() / nats_per_bit,
    )


def _log_ratios(mean: Tensor, logvar: Tensor, image: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a point u from the posterior of each image i, and return ln p(u|xⱼ) / p(u|xᵢ) for all j, (draws, N)."""
    noise = torch.randn(len(image), mean.shape[1], generator=generator, dtype=torch.float64, device=mean.device)
    total = torch.zeros(len(image), len(mean), dtype=torch.float64, device=mean.device)
    for d in range(mean.shape[1]):  # one dimension at a time: no memory of draws · N · d
        m, v = mean[:, d], logvar[:, d]
        # u − μⱼ as distance of the means plus noise: far from 0, u itself would lose the digits of a tiny variance
        offset = (m[image, None] - m[None, :]) + (noise[:, d] * torch.exp(v[image] / 2))[:, None]
        offset.mul_(torch.exp(-v / 2)).square_()
        total += (noise[:, d].square() + v[image])[:, None] - v[None, :] - offset
    return total.div_(2)


def _estimates(single: Tensor, own: Tensor, joint: Tensor, sizes: Tensor, images: int) -> SpaceEstimates:
    """Turn sums of batches (B, …) into estimates, with errors from leaving out one batch at a time."""

    def measures(single: Tensor, own: Tensor, joint: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own_a, own_b = own[..., :, None], own[..., None, :]
        shared = shared_bits_from_terms(single[..., :, None], single[..., None, :], joint)
        # The diagonal of `joint` holds one draw twice; a space is compared with itself by two draws, as in `own`.
        shared = torch.where(torch.eye(single.shape[-1], dtype=torch.bool), own_a, shared)
        return single, own, vi_from_terms(shared, own_a, own_b), nmi_from_terms(shared, own_a, own_b, images=images)

    def without(sums: Tensor) -> Tensor:
        draws = (sizes.sum() - sizes).reshape(-1, *[1] * (sums.ndim - 1))
        return (sums.sum(dim=0) - sums) / draws

    estimates = measures(*(sums.sum(dim=0) / sizes.sum() for sums in (single, own, joint)))
    replicates = measures(*(without(sums) for sums in (single, own, joint)))
    # The jackknife: replicates share all draws but one batch, so that their spread is blown up by B − 1.
    errors = [((len(sizes) - 1) * replicate.var(dim=0, unbiased=False)).sqrt() for replicate in replicates]
    # A ratio has no standard error, nor a value, where its denominator may as well be 0.
    faint = estimates[1] < FAINT_ERRORS * errors[1]
    undefined = faint[:, None] | faint[None, :] | ~torch.isfinite(errors[3])
    nmi, nmi_error = (part.masked_fill(undefined, math.nan) for part in (estimates[3], errors[3]))
    return SpaceEstimates(
        estimates[0],
        errors[0],
        estimates[1],
        errors[1],
        vi=estimates[2],
        vi_error=errors[2],
        nmi=nmi,
        nmi_error=nmi_error,
    )
