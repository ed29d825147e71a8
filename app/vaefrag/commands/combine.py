"""`vaefrag combine`: what a set of channels tells together."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.commands.options import Json, Workspace, check_output, is_set, write_posteriors
from vaefrag.plurals import counted
from vaefrag_core.errors import InvalidInputError

if TYPE_CHECKING:
    from vaefrag_core.channel_sets import ChannelSet, SetStore
    from vaefrag_core.ensemble_store import EnsembleStore
    from vaefrag_core.synthesis.channel_pool import ChannelName, ChannelPool
    from vaefrag_core.synthesis.combination import Additions, Combination, GreedySelection, MemberInformation
    from vaefrag_core.synthesis.held_out_growth import HeldOutGrowth

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
    from vaefrag_core.channel_sets import SetStore, least_bits, pool_set, set_posteriors
    from vaefrag_core.ensemble_store import EnsembleStore
    from vaefrag_core.synthesis import combination
    from vaefrag_core.synthesis.held_out_growth import grow_on_halves

    if output is not None:
        check_output(output, replace=replace)
    store = EnsembleStore(load_settings(workspace=workspace).workspace)
    sets = SetStore(store.workspace)
    ensemble, names = _read_channels(set_id, channels or [], store, sets)
    if medoids:
        of_hotspots = _medoids(store, ensemble)
        if not of_hotspots:
            raise InvalidInputError(f"Ensemble {ensemble} has no hotspots, so no medoids. Leave out --medoids.")
        names += [medoid for medoid in of_hotspots if medoid not in names]
    pool = pool_set(names, store.posteriors, ensemble)
    # as on the page: what counts as dead is what the analysis of its ensemble calls dead
    posteriors, least = pool.posteriors, least_bits(pool, store)
    label = None if rank in ("", "bits") else rank
    growth: GreedySelection | None = None
    on_halves: HeldOutGrowth | None = None
    if greedy:
        start = pool.flat_indices(names)
        growth = combination.select_greedily(posteriors, greedy, start=start, label=label, min_bits=least)
        terminal.print_message("Growing sets on halves of the images, to tell them on the others …")
        on_halves = grow_on_halves(posteriors, greedy, start=start, label=label, min_bits=least)
        names += [pool.names[c] for c in growth.channels]
    together = combination.combine(posteriors, pool.flat_indices(names), min_bits=least)
    additions = None
    if rank:
        additions = combination.rank_additions(posteriors, together.channels, label=label, min_bits=least)
    saved = sets.save(name, names, posteriors.sample_id) if name else None
    if output is not None:
        write_posteriors(set_posteriors(pool, names), output, replace=replace)
    members = combination.member_information(posteriors, together.channels)
    _show(together, names, additions, pool, rank, saved, _carried(members))
    if growth is not None:
        terminal.print_message(_told_on_others(on_halves, label))
    if as_json:
        report = _report(together, names, additions, growth, pool, saved, members)
        if growth is not None:
            report["greedy_on_halves"] = None if on_halves is None else _on_halves(on_halves)
        terminal.print_json(report)


def _read_channels(
    set_id: str, channels: Sequence[str], store: "EnsembleStore", sets: "SetStore"
) -> "tuple[str, list[ChannelName]]":
    """Return the ensemble of channels that name none, and the channels: those of a saved set first."""
    from vaefrag_core.channel_sets import parse_channel

    if is_set(set_id, store, sets):
        saved = list(sets.load(set_id).channels)
        return saved[0].ensemble, saved + [parse_channel(text, saved[0].ensemble) for text in channels]
    return set_id, [parse_channel(text, set_id) for text in channels]


def _medoids(store: "EnsembleStore", ensemble: str) -> "list[ChannelName]":
    """Return the medoid of every hotspot of an ensemble."""
    from vaefrag_core.synthesis.channel_pool import ChannelName

    analysis = store.analysis(ensemble)
    names = analysis.matrix.channel_names
    groups = analysis.hotspots[analysis.config.hotspots.measure].groups
    return [ChannelName(ensemble, *(int(part) for part in names[group.medoid])) for group in groups]


def _show(
    together: "Combination",
    names: "Sequence[ChannelName]",
    additions: "Additions | None",
    pool: "ChannelPool",
    rank: str,
    saved: "ChannelSet | None",
    carried: str,
) -> None:
    several = len({name.ensemble for name in pool.names}) > 1
    words = [f"{name.ensemble}:{name}" if several else str(name) for name in names]
    shares = ["–"] * len(words) if together.shapley_bits is None else [f"{bits:.2f}" for bits in together.shapley_bits]
    columns = ["channel", "bits", "marginal", "Shapley"]
    rows = list(zip(words, map(_two, together.single_bits), map(_two, together.marginal_bits), shares, strict=True))
    terminal.show_table(columns, rows, right=columns[1:])
    terminal.print_message(
        f"[bold]{together.joint_bits:.2f} bits together[/], {together.sum_bits:.2f} in sum,"
        f" {together.redundancy_bits:z.2f} redundant;"
        f" at most {together.ceiling_bits:.2f} on {together.n_images:,} images."
    )
    terminal.print_message(
        f"Channels that share nothing would seem to have {together.redundancy_by_chance_bits:z.2f} bits redundant."
        + (
            " On so few images they, too, tell all apart: redundancy cannot be told."
            if math.isnan(above := together.redundancy_above_chance_bits)
            else f" Above that: [bold]{above:z.2f}[/] bits."
        )
    )
    if together.near_ceiling:
        terminal.print_message("That is within a tenth of the most there is: they may tell far more than is shown.")
    terminal.print_message(carried)
    labels = zip(
        together.label_names,
        together.label_corrected_nmi,
        together.label_shared_bits,
        together.label_chance_bits,
        strict=True,
    )
    for name, nmi, bits, chance in labels:
        if not math.isnan(bits):  # identifiers, and labels of too few images
            corrected = "cannot be told from chance" if math.isnan(nmi) else f"{nmi:z.2f} above chance"
            terminal.print_message(f"{name}: NMI {corrected}, {bits:.2f} bits told, {chance:.2f} by chance")
    if additions is not None:
        gains = [
            (str(pool.names[c]), _two(gain)) for c, gain in zip(additions.channels, additions.gain_bits, strict=True)
        ]
        head = "gain, bits" if rank == "bits" else f"gain, bits of {rank}"
        terminal.show_table(["next channel", head], gains[:LISTED], right=[head])
    if saved is not None:
        terminal.print_message(f"Saved as [bold]{saved.id}[/].")


def _report(
    together: "Combination",
    names: "Sequence[ChannelName]",
    additions: "Additions | None",
    growth: "GreedySelection | None",
    pool: "ChannelPool",
    saved: "ChannelSet | None",
    members: "MemberInformation",
) -> dict[str, Any]:
    shapley = [None] * len(names) if together.shapley_bits is None else together.shapley_bits.tolist()
    shares = zip(map(_named, names), together.single_bits, together.marginal_bits, shapley, strict=True)
    labels = {
        "nmi": together.label_nmi,
        "corrected_nmi": together.label_corrected_nmi,
        "vi_bits": together.label_vi_bits,
        "shared_bits": together.label_shared_bits,
        "chance_bits": together.label_chance_bits,
        "bits": together.label_bits,
    }
    result: dict[str, Any] = {
        "id": None if saved is None else saved.id,
        "joint_bits": together.joint_bits,
        "sum_bits": together.sum_bits,
        "redundancy_bits": together.redundancy_bits,
        "redundancy_by_chance_bits": together.redundancy_by_chance_bits,
        "redundancy_above_chance_bits": _or_null(together.redundancy_above_chance_bits),
        "carried": _or_null(members.carried_mean),
        "carried_error": _or_null(members.carried_error),
        "ceiling_bits": together.ceiling_bits,
        "near_ceiling": together.near_ceiling,
        "channels": [
            name | {"bits": float(single), "marginal_bits": float(marginal), "shapley_bits": share}
            for name, single, marginal, share in shares
        ],
        "labels": {
            name: {measure: _or_null(float(values[f])) for measure, values in labels.items()}
            for f, name in enumerate(together.label_names)
        },
    }
    if additions is not None:
        pairs = zip(additions.channels, additions.gain_bits, strict=True)
        result["additions"] = [_named(pool.names[c]) | {"gain_bits": float(gain)} for c, gain in pairs]
    if growth is not None:
        result["greedy_bits"] = growth.bits.tolist()
        result["random_bits"] = growth.random_bits.mean(axis=0).tolist()
    return result


def _carried(members: "MemberInformation") -> str:
    share = members.carried_mean
    if math.isnan(share):
        return "How much of a whole member they carry cannot be told above chance on so few images."
    return (
        f"They carry {max(share, 0.0):.0%} ± {members.carried_error:.0%} of what a whole member tells, counted from the"
        " level of chance."
    )


def _told_on_others(on_halves: "HeldOutGrowth | None", label: str | None) -> str:
    """Say what greedy sets gain over random ones where they were chosen, and on other images."""
    if on_halves is None:
        return "No channel was added, or the images are too few to tell the greedy set on others than chose it."
    size = on_halves.own_gain.shape[1]
    own, other = on_halves.own_gain[:, -1].mean(), on_halves.other_gain[:, -1].mean()
    low, high = on_halves.other_gain_interval(size)
    words = (
        f"Greedy sets of {counted(size, 'channel')}, grown on half of the images, tell {own:z.2f} bits"
        f"{f' of {label}' if label else ''} more than random ones on the images that they were chosen from,"
        f" [bold]{other:z.2f}[/] on the other half (95 %: {low:z.2f} to {high:z.2f})."
    )
    return words if low > 0 else f"{words} On images that did not choose them they are not clearly better."


def _on_halves(on_halves: "HeldOutGrowth") -> dict[str, Any]:
    sizes = range(1, on_halves.own_gain.shape[1] + 1)
    return {
        "images": on_halves.n_images,
        "sets": len(on_halves.own_gain),
        "bits_where_chosen": on_halves.own_bits.mean(axis=0).tolist(),
        "bits_on_others": on_halves.other_bits.mean(axis=0).tolist(),
        "gain_where_chosen": on_halves.own_gain.mean(axis=0).tolist(),
        "gain_on_others": on_halves.other_gain.mean(axis=0).tolist(),
        "gain_on_others_95": [list(on_halves.other_gain_interval(size)) for size in sizes],
    }


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value


def _named(name: "ChannelName") -> dict[str, Any]:
    return {"ensemble": name.ensemble, "member": name.member, "channel": name.channel}


def _two(bits: float) -> str:
    return f"{bits:z.2f}"
