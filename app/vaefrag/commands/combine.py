"""`vaefrag combine`: what a set of channels tells together."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.commands.options import Json, Workspace, is_set, write_posteriors
from vaefrag_core.errors import InvalidInputError

if TYPE_CHECKING:
    from vaefrag_core.channel_sets import ChannelSet
    from vaefrag_core.synthesis.channel_pool import ChannelName, Pool
    from vaefrag_core.synthesis.combination import Additions, Combination, Growth

LISTED = 10  # channels ranked that a person is shown; JSON has all


def combine(
    set_id: Annotated[str, typer.Argument(metavar="ID", help="An ensemble, or a saved set, of the workspace.")],
    channels: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CHANNEL]...", help="Channels, such as 0.3; ENSEMBLE:0.3 of another ensemble."),
    ] = None,
    medoids: Annotated[bool, typer.Option("--medoids", help="Add the medoid of every hotspot.")] = False,
    greedy: Annotated[int, typer.Option(min=0, help="Add the best channel until the set has so many.")] = 0,
    rank: Annotated[str, typer.Option(help="Rank further channels by bits, or by what is told of a label.")] = "",
    name: Annotated[str, typer.Option(help="Save the set under this name.")] = "",
    output: Annotated[Path | None, typer.Option(help="Write the set as a posteriors file.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a file that is there.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Tell what channels of any members carry together: joint bits, redundancy, shares, labels, the best next one."""
    from vaefrag.settings import load_settings
    from vaefrag_core import channel_sets
    from vaefrag_core.ensemble_store import EnsembleStore
    from vaefrag_core.synthesis import combination

    store = EnsembleStore(load_settings(workspace=workspace).workspace)
    kept = channel_sets.SetStore(store.workspace)
    ensemble, chosen = _start(set_id, channels or [], store, kept)
    if medoids:
        found_medoids = _medoids(store, ensemble)
        if not found_medoids:
            raise InvalidInputError(f"Ensemble {ensemble} has no hotspots, so no medoids. Leave out --medoids.")
        chosen += [c for c in found_medoids if c not in chosen]
    pooled = channel_sets.gather(chosen, store.posteriors, ensemble)
    label = None if rank in ("", "bits") else rank
    grown: Growth | None = None
    if greedy:
        grown = combination.grow(pooled.posteriors, greedy, start=pooled.flat(chosen), label=label)
        chosen += [pooled.names[c] for c in grown.channels]
    found = combination.combine(pooled.posteriors, pooled.flat(chosen))
    ranked = combination.rank_additions(pooled.posteriors, found.channels, label=label) if rank else None
    saved = kept.save(name, chosen, pooled.posteriors.sample_id) if name else None
    if output is not None:
        write_posteriors(channel_sets.set_posteriors(pooled, chosen), output, replace=replace)
    _show(found, chosen, ranked, pooled, rank, saved)
    if as_json:
        terminal.print_json(_result(found, chosen, ranked, grown, pooled, saved))


def _start(set_id: str, channels: Sequence[str], store: Any, kept: Any) -> "tuple[str, list[ChannelName]]":
    """Give the ensemble that is meant when none is named, and the channels given."""
    from vaefrag_core.channel_sets import parse_channel

    if is_set(set_id, store, kept):
        found = list(kept.load(set_id).channels)
        return found[0].ensemble, found + [parse_channel(text, found[0].ensemble) for text in channels]
    return set_id, [parse_channel(text, set_id) for text in channels]


def _medoids(store: Any, ensemble: str) -> "list[ChannelName]":
    from vaefrag_core.synthesis.channel_pool import ChannelName

    analysis = store.analysis(ensemble)
    names = analysis.matrix.channel_names
    groups = analysis.hotspots[analysis.config.hotspots.measure].groups
    return [ChannelName(ensemble, *(int(part) for part in names[group.medoid])) for group in groups]


def _show(
    found: "Combination",
    chosen: "Sequence[ChannelName]",
    ranked: "Additions | None",
    pooled: "Pool",
    rank: str,
    saved: "ChannelSet | None",
) -> None:
    several = len({name.ensemble for name in pooled.names}) > 1
    words = [f"{name.ensemble}:{name}" if several else str(name) for name in chosen]
    shares = ["–"] * len(words) if found.shapley_bits is None else [f"{bits:.2f}" for bits in found.shapley_bits]
    columns = ["channel", "bits", "marginal", "Shapley"]
    rows = list(zip(words, map(_two, found.single_bits), map(_two, found.marginal_bits), shares, strict=True))
    terminal.show_table(columns, rows, right=columns[1:])
    terminal.print_message(
        f"[bold]{found.joint_bits:.2f} bits together[/], {found.sum_bits:.2f} in sum, {found.redundancy_bits:z.2f}"
        f" redundant; at most {found.ceiling_bits:.2f} on {found.n_images:,} images."
    )
    if found.near_ceiling:
        terminal.print_message("That is within a tenth of the most there is: they tell more than is shown.")
    for name, nmi, bits in zip(found.label_names, found.label_nmi, found.label_shared_bits, strict=True):
        terminal.print_message(f"{name}: NMI {nmi:.2f}, {bits:.2f} bits told")
    if ranked is not None:
        gains = [(str(pooled.names[c]), _two(gain)) for c, gain in zip(ranked.channels, ranked.gain_bits, strict=True)]
        head = "gain, bits" if rank == "bits" else f"gain, bits of {rank}"
        terminal.show_table(["next channel", head], gains[:LISTED], right=[head])
    if saved is not None:
        terminal.print_message(f"Saved as [bold]{saved.id}[/].")


def _result(
    found: "Combination",
    chosen: "Sequence[ChannelName]",
    ranked: "Additions | None",
    grown: "Growth | None",
    pooled: "Pool",
    saved: "ChannelSet | None",
) -> dict[str, Any]:
    shapley = [None] * len(chosen) if found.shapley_bits is None else found.shapley_bits.tolist()
    shares = zip(map(_named, chosen), found.single_bits, found.marginal_bits, shapley, strict=True)
    labels = zip(
        found.label_names, found.label_nmi, found.label_vi_bits, found.label_shared_bits, found.label_bits, strict=True
    )
    result: dict[str, Any] = {
        "id": None if saved is None else saved.id,
        "joint_bits": found.joint_bits,
        "sum_bits": found.sum_bits,
        "redundancy_bits": found.redundancy_bits,
        "ceiling_bits": found.ceiling_bits,
        "near_ceiling": found.near_ceiling,
        "channels": [
            name | {"bits": float(single), "marginal_bits": float(marginal), "shapley_bits": share}
            for name, single, marginal, share in shares
        ],
        "labels": {
            name: {"nmi": float(nmi), "vi_bits": float(vi), "shared_bits": float(shared), "bits": float(bits)}
            for name, nmi, vi, shared, bits in labels
        },
    }
    if ranked is not None:
        pairs = zip(ranked.channels, ranked.gain_bits, strict=True)
        result["additions"] = [_named(pooled.names[c]) | {"gain_bits": float(gain)} for c, gain in pairs]
    if grown is not None:
        result["greedy_bits"] = grown.bits.tolist()
        result["random_bits"] = grown.random_bits.mean(axis=0).tolist()
    return result


def _named(name: "ChannelName") -> dict[str, Any]:
    return {"ensemble": name.ensemble, "member": name.member, "channel": name.channel}


def _two(bits: float) -> str:
    return f"{bits:z.2f}"
