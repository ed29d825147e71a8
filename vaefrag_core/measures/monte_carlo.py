"""Information and similarity of whole latent spaces by Monte Carlo: no bound, but estimates with standard errors.

The N images are taken for all there are, each as likely as any other; no space then tells more than log2 N bits.
Every draw takes an image, and one point from the posterior that each space gives it. All spaces see the same images,
so that what they share does not drown in the luck of the draw.

Reference: Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). Comparing the information content of
probabilistic representation spaces. https://arxiv.org/abs/2405.21042
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaefrag_core.errors import InvalidInputError

BATCHES = 50  # that standard errors are taken from: enough for their spread to follow the normal distribution
CHUNK_BYTES = 1.5e8  # of densities that are held at a time
FAINTEST = -300.0  # nats below the largest: of no weight in any sum, and no denormal number, which would be slow
OWN_BITS_FLOOR = 1e-9  # below, a space repeats nothing between two draws: its NMI is undefined


@dataclass(frozen=True, eq=False)
class SpaceEstimates:
    """What was estimated for M spaces, each number with its standard error; bits but for NMI.

    Args:
        information: (M,) I(X;U).
        information_error: (M,).
        nmi: (M, M), symmetric, 1 on the diagonal; NaN where a space tells no images apart.
        nmi_error: (M, M).
        vi: (M, M), symmetric, 0 on the diagonal.
        vi_error: (M, M).
    """

    information: Tensor
    information_error: Tensor
    nmi: Tensor
    nmi_error: Tensor
    vi: Tensor
    vi_error: Tensor


def monte_carlo_information(
    mean: Tensor, logvar: Tensor, *, draws: int = 10_000, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Estimate the information that a space carries about its input.

    I(X;U) = E_i E_{u ~ p(u|xᵢ)} log2 [ p(u|xᵢ) / (1/N) Σⱼ p(u|xⱼ) ]

    Args:
        mean: (N, d) posterior means, in latent units.
        logvar: (N, d) ln σ².
        draws: at least 100; the standard error falls with their square root.
        generator: of the draws; seeded with 0 when not given.

    Returns:
        Bits and their standard error, float64.

    Raises:
        InvalidInputError: when the shapes differ or the draws are too few.

    Example:
        Two images that never mix carry one bit:

        >>> monte_carlo_information(torch.tensor([[0.0], [100.0]]), torch.zeros(2, 1), draws=100)
        (tensor(1., dtype=torch.float64), tensor(0., dtype=torch.float64))
    """
    found = monte_carlo_comparison([mean], [logvar], draws=draws, generator=generator)
    return found.information[0], found.information_error[0]


def monte_carlo_comparison(
    means: Sequence[Tensor],
    logvars: Sequence[Tensor],
    *,
    draws: int = 10_000,
    generator: torch.Generator | None = None,
    on_progress: Callable[[int, int], None] = lambda done, draws: None,
) -> SpaceEstimates:
    """Estimate the information of M spaces on the same images, and NMI and VI of every pair.

    NMI(U,V) = I(U;V) / √( I(U;U′) I(V;V′) ),   VI(U,V) = 2 I(X;U,V) − I(X;U,U′) − I(X;V,V′)

    Args:
        means: M posterior means (N, d), d of each space its own.
        logvars: ln σ² of the same shapes.
        draws: at least 100, in 50 batches; standard errors are jackknifed over these.
        generator: of the draws; seeded with 0 when not given.
        on_progress: called with draws done and draws; an exception that it raises ends the work.

    Returns:
        Estimates and their standard errors, float64.

    Raises:
        InvalidInputError: when shapes differ or the draws are too few.
    """
    spaces = _checked(means, logvars, draws)
    generator = generator or torch.Generator(spaces[0][0].device).manual_seed(0)
    count, n_images = len(spaces), len(spaces[0][0])
    chunk = max(1, int(CHUNK_BYTES / (8 * n_images * (count + 2))))
    single, twice = (torch.zeros(BATCHES, count, dtype=torch.float64) for _ in range(2))
    joint = torch.zeros(BATCHES, count, count, dtype=torch.float64)
    sizes = torch.tensor([draws * (b + 1) // BATCHES - draws * b // BATCHES for b in range(BATCHES)])
    done = 0
    for batch, size in enumerate(sizes.tolist()):
        for start in range(0, size, chunk):
            terms = _terms(spaces, min(chunk, size - start), generator)
            for total, term in zip((single, twice, joint), terms, strict=True):
                total[batch] += term
            done += min(chunk, size - start)
            on_progress(done, draws)
    return _estimates(single, twice, joint, sizes.double())


def _checked(means: Sequence[Tensor], logvars: Sequence[Tensor], draws: int) -> list[tuple[Tensor, Tensor]]:
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
    """Sum over some draws, in bits, what I(X;U) (M,), I(X;U,U′) (M,) and I(X;U,V) (M, M) are the averages of."""
    count, n_images = len(spaces), len(spaces[0][0])
    device = spaces[0][0].device
    image = torch.randint(n_images, (draws,), generator=generator, device=device)
    overlap = torch.empty(draws, count, n_images, dtype=torch.float64, device=device)
    level = torch.empty(draws, count, dtype=torch.float64, device=device)
    twice = torch.empty(count, dtype=torch.float64)
    for m, (mean, logvar) in enumerate(spaces):
        first, second = (_log_ratios(mean, logvar, image, generator) for _ in range(2))
        both = first + second
        twice[m] = -(torch.logsumexp(both, dim=1) - math.log(n_images)).sum().cpu()
        level[:, m] = first.amax(dim=1)
        torch.exp(first.sub_(level[:, m, None]).clamp_(min=FAINTEST), out=overlap[:, m])
    # Log-sum-exp for all pairs at once: Σⱼ exp(a_j + b_j) is a matrix product once the largest of a and of b have been
    # taken out. The image drawn keeps it from vanishing: E p(u|xⱼ)/p(u|xᵢ) = 1, so a level above ℓ is less likely than
    # N exp(−ℓ).
    products = torch.bmm(overlap, overlap.transpose(1, 2)).log_()
    products += level[:, :, None] + level[:, None, :]
    single = overlap.sum(dim=2).log_() + level
    scale, most = math.log(2), math.log(n_images)
    return (
        -(single - most).sum(dim=0).cpu() / scale,
        twice / scale,
        -(products - most).sum(dim=0).cpu() / scale,
    )


def _log_ratios(mean: Tensor, logvar: Tensor, image: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a point from the posterior of each given image i; give ln p(u|xⱼ) / p(u|xᵢ) for all j, (draws, N)."""
    noise = torch.randn(len(image), mean.shape[1], generator=generator, dtype=torch.float64, device=mean.device)
    total = torch.zeros(len(image), len(mean), dtype=torch.float64, device=mean.device)
    for d in range(mean.shape[1]):  # one dimension at a time: no memory of draws · N · d
        m, v = mean[:, d], logvar[:, d]
        # Distances from μᵢ, to which the noise is added last: far from 0, tiny variances keep their digits.
        away = (m[image, None] - m[None, :]) + (noise[:, d] * torch.exp(v[image] / 2))[:, None]
        away.mul_(torch.exp(-v / 2)).square_()
        total += (noise[:, d].square() + v[image])[:, None] - v[None, :] - away
    return total.div_(2)


def _estimates(single: Tensor, twice: Tensor, joint: Tensor, sizes: Tensor) -> SpaceEstimates:
    """Turn sums of batches (B, …) into estimates, with errors from leaving out one batch at a time."""

    def measures(single: Tensor, twice: Tensor, joint: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        own = 2 * single - twice
        defined = own > OWN_BITS_FLOOR
        scale = torch.where(defined, own, torch.nan).sqrt()
        shared = single[..., :, None] + single[..., None, :] - joint
        nmi = shared / (scale[..., :, None] * scale[..., None, :])
        vi = 2 * joint - twice[..., :, None] - twice[..., None, :]
        # With itself, a space is compared by two draws, which is what the measures ask of it.
        same = torch.eye(single.shape[-1], dtype=torch.bool)
        itself = torch.where(defined, 1.0, torch.nan)[..., :, None].double()
        return single, torch.where(same, itself, nmi), torch.where(same, 0.0, vi)

    def without(sums: Tensor) -> Tensor:
        left = (sizes.sum() - sizes).reshape(-1, *[1] * (sums.ndim - 1))
        return (sums.sum(dim=0) - sums) / left

    whole = measures(*(sums.sum(dim=0) / sizes.sum() for sums in (single, twice, joint)))
    parts = measures(*(without(sums) for sums in (single, twice, joint)))
    count = len(sizes)
    errors = [((count - 1) * part.var(dim=0, unbiased=False)).sqrt() for part in parts]
    return SpaceEstimates(whole[0], errors[0], whole[1], errors[1], whole[2], errors[2])
