"""The comparison of members by their whole latent spaces."""

import math
from dataclasses import dataclass
from pathlib import Path

from vaefrag_core.array_types import BoolArray, FloatArray, IntArray
from vaefrag_core.artifacts.files import check_shapes, load_arrays, load_json, reports_damage, save_arrays, save_json
from vaefrag_core.measures.channel_states import saturated_channels

_ARRAYS = ("information_bits", "information_error", "nmi", "nmi_error", "vi_bits", "vi_error")


@dataclass(frozen=True, eq=False)
class SpaceMatrix:
    """Information of every member's whole latent space and similarity of every pair, estimated by Monte Carlo.

    Args:
        member_ids: (M,) the members' numbers in their ensemble.
        information_bits: (M,) I(X;U), at most log2 N.
        information_error: (M,) its standard error, bits.
        nmi: (M, M), symmetric, 1 on the diagonal; NaN where a space tells no images apart.
        nmi_error: (M, M) standard errors.
        vi_bits: (M, M), symmetric, 0 on the diagonal, bits.
        vi_error: (M, M) standard errors, bits.
        n_images: N.
        draws: number of draws behind the estimates.
        input_entropy_bits: H(X), less than log2 N where images are copies; None where they were not looked for.
    """

    member_ids: IntArray
    information_bits: FloatArray
    information_error: FloatArray
    nmi: FloatArray
    nmi_error: FloatArray
    vi_bits: FloatArray
    vi_error: FloatArray
    n_images: int
    draws: int
    input_entropy_bits: float | None = None

    @property
    def n_members(self) -> int:
        """M."""
        return len(self.member_ids)

    @property
    def input_bits(self) -> float:
        """H(X), log2 N without copies: what tells all images of the sample apart."""
        return math.log2(self.n_images) if self.input_entropy_bits is None else self.input_entropy_bits

    @property
    def saturated(self) -> BoolArray:
        """(M,) True where a space tells every image from every other, so that its NMI means nothing."""
        return saturated_channels(self.information_bits, self.n_images, self.input_bits)

    @property
    def messages(self) -> tuple[str, ...]:
        """What a user should know about this result."""
        if not self.saturated.any():
            return ()
        return (
            f"{int(self.saturated.sum())} of {self.n_members} members tell every one of the {self.n_images:,} images"
            " from every other: the NMI of such spaces is near 1 whatever they are. Take a larger fingerprint, or"
            " train with a larger β.",
        )

    def save(self, folder: Path) -> None:
        """Write into a folder that exists."""
        save_arrays(folder, member_ids=self.member_ids, **{name: getattr(self, name) for name in _ARRAYS})
        save_json(folder, {name: getattr(self, name) for name in ("n_images", "draws", "input_entropy_bits")})

    @classmethod
    @reports_damage
    def load(cls, folder: Path) -> "SpaceMatrix":
        """Read what `save` wrote."""
        facts = load_json(folder)
        arrays = load_arrays(folder, "member_ids", *_ARRAYS)
        check_shapes(folder, arrays, member_ids="M", information_bits="M", information_error="M", nmi="M M")
        check_shapes(folder, arrays, nmi="M M", nmi_error="M M", vi_bits="M M", vi_error="M M")
        return cls(
            **arrays,
            n_images=int(facts["n_images"]),
            draws=int(facts["draws"]),
            input_entropy_bits=facts.get("input_entropy_bits"),
        )
