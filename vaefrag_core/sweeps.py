"""Sweeps: one coefficient of the objective at several values, an ensemble for each. Loads no torch.

    <workspace>/sweeps/<id>.json             the coefficient, its values, and their ensembles
    <workspace>/sweeps/<id>/atlas-<key>/     the atlas of the ensembles, and in step-<n>/ that at a step of training
    <workspace>/sweeps/<id>/latest.json      which atlas the pages show

The ensembles are ensembles like any other: those that exist already are part of the sweep, and each opens alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vaefrag_core.artifacts import Atlas
from vaefrag_core.artifacts.files import recomputed_by
from vaefrag_core.config import Config, EnsembleSpec, TrainConfig, content_key
from vaefrag_core.ensemble_store import EnsembleStore, ensemble_id_of, read_undamaged, write_once, write_text
from vaefrag_core.errors import BrokenFileError, InvalidInputError, MissingDataError
from vaefrag_core.objectives import OBJECTIVES, SETTINGS
from vaefrag_core.spec_validation import resolve

NAME_LENGTH = 80
MAX_VALUES = 50
_ID = re.compile(r"[a-z0-9][a-z0-9.\-]{0,99}")


class Sweep(Config):
    """One coefficient of the objective at several values. Sweeps over the same ensembles are the same sweep.

    Args:
        name: what pages call it.
        coefficient: the field of `TrainConfig` that differs.
        values: the values of the coefficient, ascending.
        ensembles: the id of the ensemble at each value.
    """

    name: str
    coefficient: str
    values: tuple[float, ...]
    ensembles: tuple[str, ...]

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits of the content without the name."""
        return content_key(self.model_dump(mode="json", exclude={"name"}))

    @property
    def id(self) -> str:
        """Readable words first, then what makes it unique."""
        words = f"{self.ensembles[0].rsplit('-', 2)[0]}-{self.coefficient}"
        slug = re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-.")
        return f"{slug}-{self.key[:8]}"

    @property
    def symbol(self) -> str:
        """The coefficient as people write it: β."""
        return symbol_of(self.coefficient)


class AtlasIndex(Config):
    """Where the newest atlas lies, and the keys of the analyses that it was drawn from, by ensemble."""

    folder: str
    sources: dict[str, str]


class SweepStore:
    """The sweeps of one workspace.

    Args:
        store: its ensembles.
    """

    def __init__(self, store: EnsembleStore) -> None:
        self.store = store
        self._sweeps = store.workspace / "sweeps"

    def create(self, sweep: Sweep, specs: Sequence[EnsembleSpec]) -> Sweep:
        """Put a sweep and its ensembles, from `resolve_sweep`, into the workspace.

        Returns:
            The sweep as it stands, by its first name. Ensembles that versions before this one have named keep their
            ids, and so does a sweep over them.
        """
        ids = tuple(self.store.create(spec).id for spec in specs)
        sweep = sweep.model_copy(update={"ensembles": ids})
        path = self._sweeps / f"{sweep.id}.json"
        if not path.exists():
            write_text(path, sweep.model_dump_json(indent=1))
        return self.sweep(sweep.id)

    def ids(self) -> list[str]:
        """Return the ids of all sweeps, sorted."""
        return sorted(path.stem for path in self._sweeps.glob("*.json"))

    def sweep(self, sweep_id: str) -> Sweep:
        """Read a sweep.

        Raises:
            MissingDataError: when the workspace has no such sweep.
            BrokenFileError: when it cannot be read.
        """
        path = self.folder(sweep_id).with_name(f"{sweep_id}.json")
        if not path.is_file():
            known = ", ".join(self.ids()) or "none"
            raise MissingDataError(f"There is no sweep {sweep_id!r} in {self.store.workspace}. Sweeps there: {known}.")
        try:
            return Sweep.model_validate_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BrokenFileError(f"{path}: expected a sweep, got a file that cannot be read ({error}).") from error

    def sweeps(self) -> list[Sweep]:
        """Return the sweeps that can be read, by name."""
        return sorted(read_undamaged(self.ids(), self.sweep), key=lambda sweep: (sweep.name, sweep.id))

    def of_ensemble(self, ensemble_id: str) -> list[Sweep]:
        """Return the sweeps that an ensemble is part of."""
        return [sweep for sweep in self.sweeps() if ensemble_id in sweep.ensembles]

    def folder(self, sweep_id: str) -> Path:
        """Return the folder of a sweep's atlases, there or not; the id is checked, as it comes from URLs."""
        if not _ID.fullmatch(sweep_id):
            raise MissingDataError(f"There is no sweep {sweep_id!r}: that is not a sweep's id.")
        return self._sweeps / sweep_id

    def keep_atlas(
        self, sweep_id: str, inputs: object, sources: Mapping[str, str], draw: Callable[[Path], None]
    ) -> Atlas:
        """Return the atlas of these inputs, drawn only when it is not there, and make it the one that the pages show.

        Args:
            sweep_id: the sweep.
            inputs: JSON content that decides the result.
            sources: the key of the analysis of each ensemble in it.
            draw: writes the atlas into an empty folder.
        """
        folder = write_once(self.folder(sweep_id) / f"atlas-{content_key(inputs)}", draw)
        index = AtlasIndex(folder=folder.name, sources=dict(sources))
        write_text(self.folder(sweep_id) / "latest.json", index.model_dump_json(indent=1))
        with recomputed_by(f"vaefrag atlas {sweep_id}", folder):
            return Atlas.load(folder)

    def atlas_index(self, sweep_id: str) -> AtlasIndex:
        """Return where the newest atlas lies.

        Raises:
            MissingDataError: when there was none.
            BrokenFileError: when its index cannot be read.
        """
        path = self.folder(sweep_id) / "latest.json"
        if not path.is_file():
            self.sweep(sweep_id)
            raise MissingDataError(f"Sweep {sweep_id} has no atlas yet. Run `vaefrag atlas {sweep_id}`.")
        try:
            return AtlasIndex.model_validate_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BrokenFileError(f"{path} cannot be read. Run `vaefrag atlas {sweep_id}`.") from error

    def atlas(self, sweep_id: str, step: int | None = None) -> Atlas:
        """Read the newest atlas; nothing is computed.

        Args:
            sweep_id: the sweep.
            step: the step of training, one of its `steps`; the end when not given.

        Raises:
            MissingDataError: when there was none, or none at that step.
            BrokenFileError: when it cannot be read.
        """
        folder = self.folder(sweep_id) / self.atlas_index(sweep_id).folder
        with recomputed_by(f"vaefrag atlas {sweep_id}", folder):
            end = Atlas.load(folder)
            if step is None or step in end.steps[-1:]:
                return end
            if step in end.steps:
                return Atlas.load(folder / step_folder(step))
        there = f"There are {', '.join(map(str, end.steps))}." if end.steps else "Its ensembles have kept no snapshots."
        raise MissingDataError(f"Sweep {sweep_id} has no atlas at step {step} of training. {there}")


def step_folder(step: int) -> str:
    """Return the folder, within an atlas's, of the atlas at a step of training before the end."""
    return f"step-{step}"


def symbol_of(coefficient: str) -> str:
    """Return a coefficient as people write it: β for beta."""
    return SETTINGS[coefficient].labels.symbol or coefficient.replace("_", " ")


def resolve_sweep(values: Mapping[str, Any]) -> tuple[Sweep | None, list[EnsembleSpec]]:
    """Validate the fields of a spec, one coefficient of which may be a list.

    Args:
        values: fields of an `EnsembleSpec` as `spec_validation.resolve` takes them. A coefficient of the objective may
            be text with commas, "1, 2, 4".

    Returns:
        The sweep and the specs of its ensembles by ascending value; None and the one spec when nothing is a list.

    Raises:
        InvalidInputError: as `resolve`; also for a second list, one of a coefficient that the objective does
            not read, or one of fewer than two or more than 50 values. `fields` says which field is at fault.
        MissingDataError: when the data set's files are not to be found.
    """
    train = dict(values.get("train", {}))
    coefficients = sorted(name for name, setting in SETTINGS.items() if setting.labels.coefficient)
    lists = [name for name in coefficients if isinstance(train.get(name), str) and "," in train[name]]
    objective = train.get("objective", TrainConfig().objective)
    declaration = OBJECTIVES.get(objective)
    if not lists or declaration is None:  # an unknown objective is refused by `resolve`
        return None, [resolve(values)]
    if len(lists) > 1:
        raise _input_error(
            lists, f"Expected a list of one coefficient, got lists of {' and '.join(lists)}. Fix the others."
        )
    name = lists[0]
    if name not in declaration.coefficients:
        readable = ", ".join(declaration.coefficients)
        raise _input_error([name], f"{objective} does not read {name}. Give a list of one of {readable}.")
    parts = [part.strip() for part in train[name].split(",") if part.strip()]
    if len(parts) > MAX_VALUES:
        raise _input_error([name], f"A sweep takes at most {MAX_VALUES} values of {name}, got {len(parts)}.")
    specs = {}
    for part in parts:
        spec = resolve({**values, "train": train | {name: part}})
        specs[float(getattr(spec.train, name))] = spec
    if len(specs) < 2:
        raise _input_error([name], f"A sweep takes at least two values of {name}, got {train[name]!r}.")
    return _sweep_of(str(values.get("name") or ""), name, specs)


def _sweep_of(name: str, coefficient: str, specs: Mapping[float, EnsembleSpec]) -> tuple[Sweep, list[EnsembleSpec]]:
    """Return a sweep, and the specs of its ensembles with their names, by ascending value."""
    numbers = sorted(specs)
    named_specs = [specs[number] for number in numbers]
    symbol = symbol_of(coefficient)
    if base_name := name.strip():
        ends = [f" {symbol}={number:g}" for number in numbers]
        names = [f"{base_name[: NAME_LENGTH - len(end)]}{end}" for end in ends]
        named_specs = [spec.model_copy(update={"name": text}) for spec, text in zip(named_specs, names, strict=True)]
    title = base_name or f"{named_specs[0].dataset.name} {named_specs[0].train.objective}"
    sweep = Sweep(
        name=f"{title}, {symbol} {numbers[0]:g} to {numbers[-1]:g}",
        coefficient=coefficient,
        values=tuple(numbers),
        ensembles=tuple(ensemble_id_of(spec) for spec in named_specs),
    )
    return sweep, named_specs


def _input_error(names: Sequence[str], sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, {f"train.{name}": sentence for name in names})
