"""The comparison of whole latent spaces: as JSON for scripts, as tables for people."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from vaefrag import terminal

if TYPE_CHECKING:
    from vaefrag_core.artifacts import SpaceMatrix

MATRIX_MEMBERS = 7  # that fit side by side on a terminal
NAMES = {
    "vi": "VI, bits",
    "nmi": "NMI",
    "cka": "CKA, debiased",
    "svcca": "SVCCA",
    "rsa": "RSA",
    "procrustes": "Procrustes",
    "mcc": "MCC",
}
_INFOMEC = ("infom", "infoe", "infoc")


def spaces_result(ensemble_id: str, spaces: "SpaceMatrix") -> dict[str, Any]:
    """Return the information of whole latent spaces, and how alike they are, as JSON content."""
    from vaefrag_core.measures.space_similarity import SPACE_MEASURES

    parts = ("error", "chance", "corrected", "corrected_error")
    matrices = ("vi_bits", "nmi", *(f"{name}_{part}" for name in ("vi", "nmi") for part in parts))
    others = zip(SPACE_MEASURES, spaces.similarity, spaces.similarity_chance, spaces.similarity_highest, strict=True)
    return {
        "id": ensemble_id,
        "space": "full",
        "members": spaces.member_ids.tolist(),
        "images": spaces.n_images,
        "draws": spaces.draws,
        "input_bits": spaces.input_bits,
        "information_bits": spaces.information_bits.tolist(),
        "information_error": spaces.information_error.tolist(),
        "own_bits": spaces.own_bits.tolist(),
        "own_error": spaces.own_error.tolist(),
        "live_channels": spaces.live_channels.tolist(),
        **{name: getattr(spaces, name).tolist() for name in matrices},
        **{
            name: {"value": value.tolist(), "chance": chance.tolist(), "highest_by_chance": highest.tolist()}
            for name, value, chance, highest in others
        },
        "infomec": [dict(zip(_INFOMEC, row, strict=True)) for row in spaces.infomec.tolist()],
        "infomec_chance": [dict(zip(_INFOMEC, row, strict=True)) for row in spaces.infomec_chance.tolist()],
        "measures": [vars(summary) for summary in spaces.summaries],
        "messages": list(spaces.messages),
    }


def show_spaces(spaces: "SpaceMatrix") -> None:
    """Show members, their pairs where these fit, and every measure beside what chance shows."""
    _show_members(spaces)
    if spaces.n_members > 1:
        _show_pairs(spaces)
        _show_measures(spaces)
    terminal.print_message(f"{_input_entropy(spaces)} {spaces.draws:,} draws.")
    for message in spaces.messages:
        terminal.print_message(message)


def _show_members(spaces: "SpaceMatrix") -> None:
    """Show a row for each member, those first that are nearest to the others."""
    labelled = bool(np.isfinite(spaces.infomec).any())
    columns = ["member", "live", "I(X;U) bits", "I/H(X)", "VI to others", "NMI to others"]
    columns += ["InfoM", "InfoE", "InfoC"] if labelled else []
    apart = ~np.eye(spaces.n_members, dtype=bool)
    vi, nmi = ([_mean(row[other]) for row, other in zip(m, apart, strict=True)] for m in (spaces.vi_bits, spaces.nmi))
    share = spaces.information_bits / spaces.input_bits if spaces.input_bits else spaces.information_bits
    rows = [
        [
            spaces.member_ids[m],
            spaces.live_channels[m],
            terminal.with_error(spaces.information_bits[m], spaces.information_error[m]),
            _number(share[m]),
            _number(vi[m]),
            _number(nmi[m]),
            *([_number(value) for value in spaces.infomec[m]] if labelled else []),
        ]
        for m in np.argsort(vi, kind="stable")
    ]
    terminal.show_table(columns, rows, right=columns)
    if labelled:
        chance = [_number(_mean(column)) for column in spaces.infomec_chance.T]
        terminal.print_message(
            f"With labels shuffled, InfoM, InfoE and InfoC are {chance[0]}, {chance[1]} and {chance[2]}: InfoM and"
            " InfoC mean something only where InfoE is clearly above its chance."
        )


def _show_pairs(spaces: "SpaceMatrix") -> None:
    members = [str(member) for member in spaces.member_ids]
    if len(members) > MATRIX_MEMBERS:
        terminal.print_message(f"The matrices of more than {MATRIX_MEMBERS} members are in --json.")
        return
    square = [[member, *(_similarity(spaces, u, v) for v in range(len(members)))] for u, member in enumerate(members)]
    terminal.show_table(["", *members], square, right=["", *members])
    terminal.print_message(
        "Above the diagonal VI in bits, below it NMI; in brackets one standard error, of the last digit."
    )


def _show_measures(spaces: "SpaceMatrix") -> None:
    columns = ["measure", "mean", "least", "most", "by chance", "corrected", "above chance"]
    rows = [
        [
            NAMES[item.name],
            *map(_number, (item.mean, item.least, item.most, item.chance, item.corrected)),
            f"{item.above:.0%} of {item.pairs:,}" if item.pairs else "–",
        ]
        for item in spaces.summaries
    ]
    terminal.show_table(columns, rows, right=columns[1:])
    terminal.print_message(
        "Over pairs of members. By chance: with the images of each member shuffled. Corrected: 0 by chance, 1 of equal"
        " spaces. Above chance: pairs more alike than chance makes one in twenty. VI and NMI count posteriors as they"
        " are, the others look at their means alone."
    )


def _input_entropy(spaces: "SpaceMatrix") -> str:
    most, bits = f"log2 {spaces.n_images:,}", f"{spaces.input_bits:.2f} bits"
    if spaces.input_bits < math.log2(spaces.n_images):
        return f"H(X) = {bits}, less than {most} = {math.log2(spaces.n_images):.2f}: some images are copies of others."
    return f"H(X) = {most} = {bits}: each image of the sample for itself."


def _similarity(spaces: "SpaceMatrix", u: int, v: int) -> str:
    if u == v:
        return "·"
    value, error = (spaces.nmi, spaces.nmi_error) if v < u else (spaces.vi_bits, spaces.vi_error)
    return terminal.with_error(value[u, v], error[u, v])


def _mean(values: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan


def _number(value: float) -> str:
    return f"{value:z.2f}" if math.isfinite(value) else "–"
