"""How far rules that cut hotspots can be believed: `vaefrag bench hotspots`, on ensembles whose hotspots are known."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from vaefrag import terminal
from vaefrag.commands.bench_rules import OURS, RULES, Rule
from vaefrag_core.array_types import FloatArray, IntArray
from vaefrag_core.artifacts import Posteriors
from vaefrag_core.artifacts.recurrence import wilson_interval
from vaefrag_core.config import DEFAULT_ESTIMATOR, Estimator, HotspotConfig
from vaefrag_core.structure.hotspots import comparable_channels
from vaefrag_core.structure.matrices import compare_channels
from vaefrag_core.structure.planted_ensembles import (
    Planted,
    agreement_with_planted,
    independent,
    plant,
    with_copies_in_two_members,
    with_diverged_member,
)

Null = Callable[[np.random.Generator, int], Posteriors]

AGREEMENT = 0.95  # adjusted Rand index from which on a planted ensemble counts as found
NOISES = (0.01, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.4)
RESOLVED_NOISE = 0.6  # up to which what is planted shares .3 or more: above the resolution, whatever else is drawn
SETTINGS: dict[str, tuple[int | float, ...]] = {
    "members": (4, 10, 30, 50),
    "fragments": (1, 3, 6, 12),
    "held": (0.3, 0.6, 1.0),
    "idle": (0.2, 0.5, 0.8),
    "images": (100, 200, 300),
}
LARGEST = 60_000  # channels × images of a planted ensemble; larger ones are drawn again
SEEDS: Mapping[Estimator, int] = {"bound": 20, "exact": 4}  # integrals of a hundred small ensembles take longer
NULLS_PER_SEED, PLANTED_PER_SEED, VARIANTS_PER_SEED = 4, 15, 3  # ensembles of each kind, for each seed asked for
SLOW_NULLS: Mapping[Estimator, Sequence[str]] = {  # one for each seed
    "bound": ("5,000 images",),
    "exact": ("5,000 images", "heavy tails", "nearly deterministic", "one diverged run"),  # of hundreds of points each
}
VARIANTS: dict[str, dict[str, Any]] = {
    "merged in a fifth": {"variant": "merged"},
    "split in a fifth": {"variant": "split"},
    "shading by 20°": {"variant": "continuous", "turn_degrees": 20.0},
    "shading by 30°": {"variant": "continuous", "turn_degrees": 30.0},
    "shading by 40°": {"variant": "continuous", "turn_degrees": 40.0},
}


def _null(**fixed: Any) -> Null:
    """Return what draws independent channels: 4 to 10 in each of 3 to 20 members, on 100 to 300 images; or as fixed."""

    def draw(rng: np.random.Generator, seed: int) -> Posteriors:
        sizes = {
            "members": int(rng.choice([3, 5, 10, 20])),
            "channels": int(rng.choice([4, 6, 10])),
            "images": int(rng.choice([100, 200, 300])),
        }
        return independent(**(sizes | fixed), seed=seed)

    return draw


def _copied(rng: np.random.Generator, seed: int) -> Posteriors:
    return _null(copies=float(rng.choice([0.1, 0.4, 0.9])))(rng, seed)


def _diverged(rng: np.random.Generator, seed: int) -> Posteriors:
    return with_diverged_member(_null()(rng, seed), seed)


def _copies_in_two(rng: np.random.Generator, seed: int) -> Posteriors:
    return with_copies_in_two_members(_null(members=10)(rng, seed), seed)


NULLS: dict[str, Null] = {
    "independent, 2 bits": _null(bits=(2.0, 2.0)),
    "independent, 0.5 to 6 bits": _null(),
    "heavy tails": _null(heavy_tails=True),
    "10, 40 or 90 % copies": _copied,
    "one member": _null(members=1, channels=20),
    "two members": _null(members=2, channels=10),
    "deterministic encoders": _null(members=4, channels=4, bits=(40.0, 43.0)),
    "nearly deterministic": _null(bits=(6.0, 12.0)),
    "one diverged run": _diverged,
    "8 copies in 2 of 10 members": _copies_in_two,
    "1,000 images": _null(members=4, channels=4, images=1_000),
    "5,000 images": _null(members=3, channels=2, images=5_000),
}
# By integrals, a thousand points for each channel: small ensembles.
NULLS_BY_INTEGRALS: dict[str, Null] = NULLS | {"nearly deterministic": _null(members=4, channels=4, bits=(6.0, 12.0))}


def bench_hotspots(seeds: int, estimator: Estimator = DEFAULT_ESTIMATOR) -> dict[str, Any]:
    """Try each rule on ensembles in which nothing comes back, and on ones with planted fragments.

    Args:
        seeds: how many ensembles: four times as many of each kind of null, 15 times as many planted ones.
        estimator: of the information that all rules see.

    Returns:
        JSON content: for each rule the share of false alarms by kind of null, and the share found by setting, by
        variant, and by similarity inside hotspots.
    """
    slow, of_kind = SLOW_NULLS[estimator], NULLS_BY_INTEGRALS if estimator == "exact" else NULLS
    nulls = [
        _null_row(kind, of_kind[kind], seeds if kind in slow else NULLS_PER_SEED * seeds, estimator) for kind in NULLS
    ]
    terminal.print_message(f"Planting {PLANTED_PER_SEED * seeds} ensembles …")
    try_on = partial(try_rules, estimator=estimator)
    tried = [try_on(_drawn(seed), seed) for seed in range(PLANTED_PER_SEED * seeds)]
    resolved = [trial for trial in tried if trial["settings"].noise <= RESOLVED_NOISE]
    settings = [
        {"setting": name, "value": value}
        | _summary(trial for trial in resolved if getattr(trial["settings"], name) == value)
        for name, values in SETTINGS.items()
        for value in values
    ]
    variants = []
    for name, variant in VARIANTS.items():
        terminal.print_message(f"Fragments {name} …")
        trials = [try_on(_drawn(seed, variant), seed) for seed in range(VARIANTS_PER_SEED * seeds)]
        variants.append({"variant": name} | _summary(trials))
    by_noise = [
        {"noise": noise} | _summary(trial for trial in tried if trial["settings"].noise == noise) for noise in NOISES
    ]
    return {
        "seeds": seeds,
        "estimator": estimator,
        "nulls": nulls,
        "all_nulls": _all_nulls(nulls),
        "above_resolution": _summary(resolved),
        "settings": settings,
        "variants": variants,
        "resolution": by_noise,
    }


def show_hotspots(result: Mapping[str, Any]) -> None:
    """Show the result as tables: a column for each rule, a row for each kind of ensemble."""
    nulls = [*((row["kind"], row) for row in result["nulls"]), ("all", result["all_nulls"])]
    _show_rows("nothing comes back", nulls, "false_alarms")
    planted = [("all", result["above_resolution"])]
    planted += [(f"{row['setting']} {row['value']}", row) for row in result["settings"]]
    planted += [(row["variant"], row) for row in result["variants"]]
    _show_rows("planted and resolved", planted, "found")
    curve = [(f"{row['similarity']:.2f}", row) for row in result["resolution"] if row["tried"]]
    _show_rows("planted, NMI inside", curve, "found")
    terminal.print_message(
        f"Information by the estimator {result['estimator']}. First table: ensembles in which nothing comes back, and"
        " the share of them with a hotspot. The others: planted"
        " fragments, and the share of ensembles in which each of them was found (their number, and an adjusted Rand"
        f" index of {AGREEMENT} or more). 95 %: Wilson's interval, of our rule. Resolved: a corrected NMI inside of"
        " about .3 or more. `held` is the share of members that hold a fragment, three at least, and `idle` the share"
        " of channels beside fragments. Merged, split: two fragments in one channel, or one in two, in a fifth of the"
        " members. Shading: the channels of two fragments are turned towards each other, by up to so much."
    )


def _show_rows(head: str, rows: Iterable[tuple[str, Mapping[str, Any]]], figure: str) -> None:
    cells = [
        [
            name,
            row["tried"],
            f"{row[figure][OURS]:.0%}",
            "{:.0f}–{:.0%}".format(100 * row["interval"][0], row["interval"][1]),
            *(f"{row[figure][rule]:.0%}" for rule in RULES if rule != OURS),
        ]
        for name, row in rows
        if row["tried"]
    ]
    columns = [head, "tried", OURS, "95 %", *(rule for rule in RULES if rule != OURS)]
    terminal.show_table(columns, cells, right=columns[1:])


def _null_row(kind: str, draw: Null, count: int, estimator: Estimator) -> dict[str, Any]:
    terminal.print_message(f"Comparing the channels of {count} ensembles: {kind} …")
    alarms: dict[str, list[bool]] = {name: [] for name in RULES}
    for seed in range(count):
        similarity, member, _ = _compare(draw(np.random.default_rng([1, seed]), seed), estimator)
        for name, cut in RULES.items():
            # Other rules cannot do with fewer channels than a hotspot has.
            alarms[name].append(len(similarity) >= 3 and bool(cut(similarity, member)))
    return {
        "kind": kind,
        "tried": count,
        "false_alarms": {name: _share(values) for name, values in alarms.items()},
        "interval": _interval(alarms[OURS]),
    }


def _all_nulls(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put all kinds in which nothing comes back together."""
    tried = sum(row["tried"] for row in rows)
    alarms = {name: round(sum(row["false_alarms"][name] * row["tried"] for row in rows)) for name in RULES}
    return {
        "tried": tried,
        "false_alarms": {name: count / tried for name, count in alarms.items()},
        "interval": [float(end) for end in wilson_interval(np.array(alarms[OURS]), tried)],
    }


def _drawn(seed: int, variant: Mapping[str, Any] | None = None) -> Planted:
    """Draw every setting of a planted ensemble at random; of a variant, above the resolution and with few fragments."""
    rng = np.random.default_rng([2, seed])
    while True:
        drawn: dict[str, Any] = {name: rng.choice(values).item() for name, values in SETTINGS.items()}
        drawn["noise"] = float(rng.choice(NOISES))
        if variant is not None:
            few = {"members": int(rng.choice([6, 10, 20, 30])), "fragments": int(rng.choice([2, 3]))}
            noise = float(rng.choice(NOISES[: NOISES.index(RESOLVED_NOISE) + 1]))
            drawn = {**drawn, **few, **variant, "noise": noise}
        planted = Planted(**drawn)
        holders = max(3.0, planted.held * planted.members)
        if holders * planted.fragments / (1 - planted.idle) * planted.images <= LARGEST:
            return planted


def try_rules(
    planted: Planted, seed: int, rules: Mapping[str, Rule] = RULES, *, estimator: Estimator = DEFAULT_ESTIMATOR
) -> dict[str, Any]:
    """Try rules on one planted ensemble.

    Args:
        planted: what is in it.
        seed: of everything that is drawn.
        rules: by name.
        estimator: of the information that they see.

    Returns:
        `settings` (what was planted), `similarity` (corrected NMI inside fragments), and by rule `found`, whether it
        gave the fragments and nothing else, and `seconds`.
    """
    posteriors, truth = plant(planted, seed)
    similarity, member, live = _compare(posteriors, estimator)
    right, seconds = {}, {}
    for name, cut in rules.items():
        begin = time.perf_counter()
        groups = cut(similarity, member)
        seconds[name] = time.perf_counter() - begin
        agreement = agreement_with_planted(truth, [live[group] for group in groups])
        right[name] = len(groups) == planted.fragments and agreement >= AGREEMENT
    inside = _inside(similarity, truth[live], planted.fragments)
    return {"settings": planted, "found": right, "seconds": seconds, "similarity": inside}


def _summary(trials: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Average trials; of none, nothing but their number."""
    trials = list(trials)
    if not trials:
        return {"tried": 0}
    return {
        "tried": len(trials),
        "similarity": _share(trial["similarity"] for trial in trials),
        "found": {name: _share(trial["found"][name] for trial in trials) for name in RULES},
        "interval": _interval([trial["found"][OURS] for trial in trials]),
        "seconds": {name: _share(trial["seconds"][name] for trial in trials) for name in RULES},
    }


def _compare(posteriors: Posteriors, estimator: Estimator) -> tuple[FloatArray, IntArray, IntArray]:
    """Return the corrected NMI of channels that can be compared, their members, and their flat indices."""
    matrix = compare_channels(posteriors, estimator=estimator)
    live = comparable_channels(matrix, HotspotConfig())
    return matrix.corrected_nmi(live), matrix.member[live], live


def _inside(similarity: FloatArray, fragment: IntArray, fragments: int) -> float:
    """Average the similarity of pairs of channels that tell the same fragment."""
    squares = [similarity[np.ix_(fragment == k, fragment == k)] for k in range(fragments)]
    return float(np.mean([square[np.triu_indices(len(square), 1)].mean() for square in squares if len(square) > 1]))


def _interval(values: Sequence[bool]) -> list[float]:
    return [float(end) for end in wilson_interval(np.array(sum(values)), len(values))]


def _share(values: Iterable[float | bool]) -> float:
    return float(np.mean(list(values)))
