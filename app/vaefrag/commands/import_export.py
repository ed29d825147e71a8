"""`vaefrag import` and `vaefrag export`: posteriors files, for exchange with other programs."""

from pathlib import Path
from typing import Annotated

import typer

from vaefrag import terminal
from vaefrag.commands.options import Json, Workspace, check_output, is_set, write_posteriors
from vaefrag.plurals import counted
from vaefrag_core.errors import InvalidInputError


def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE.npz", help="A posteriors file; docs/posteriors.md says more.")],
    name: Annotated[str, typer.Option(help="What the pages call it.", show_default="the file's name")] = "",
    identifier: Annotated[
        list[str] | None,
        typer.Option(help="A label that names images, so that it is compared with nothing; repeat for several."),
    ] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Take in posteriors that another program has made; `vaefrag analyze` then compares them like any other."""
    from vaefrag.settings import load_settings
    from vaefrag_core.artifacts import Posteriors
    from vaefrag_core.ensemble_store import EnsembleStore

    settings = load_settings(workspace=workspace)
    posteriors = Posteriors.load(file)
    if identifier:
        posteriors = posteriors.with_identifiers((*posteriors.identifiers, *identifier))
    record = EnsembleStore(settings.workspace).add(posteriors, name.strip() or file.stem[:80])
    warnings = [*posteriors.oddities, *([posteriors.copies_message] if posteriors.copies_message else [])]
    result = {
        "id": record.id,
        "name": record.name,
        "members": posteriors.n_members,
        "channels": posteriors.n_channels,
        "images": posteriors.n_images,
        "labels": list(posteriors.label_names or ()),
        "identifiers": list(posteriors.identifiers),
        "sample_id": posteriors.sample_id,
        "warnings": warnings,
    }
    for oddity in warnings:
        terminal.print_message(oddity, markup=False)
    terminal.print_message(
        f"{record.name}: {counted(posteriors.n_channels, 'channel')} of {counted(posteriors.n_members, 'member')} on"
        f" {posteriors.n_images:,} images. Compare them by `vaefrag analyze {record.id}`."
    )
    if as_json:
        terminal.print_json(result)


def export_file(
    ensemble_id: Annotated[str, typer.Argument(metavar="ID", help="An ensemble, or a saved set, of the workspace.")],
    output: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="ID.npz, or FUSION.npz, in the current folder")
    ] = None,
    fusion: Annotated[str, typer.Option(help="A fused space of it instead.", show_default="none")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a file that is there.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Write the posteriors of an ensemble, a saved set or a fused space, for other programs and for `import`."""
    from vaefrag.settings import load_settings
    from vaefrag_core.channel_sets import SetStore, pool_set, set_posteriors
    from vaefrag_core.ensemble_store import EnsembleStore
    from vaefrag_core.fusion_store import FusionStore

    settings = load_settings(workspace=workspace)
    path = output or Path(f"{fusion or ensemble_id}.npz")
    check_output(path, replace=replace)
    store, sets = EnsembleStore(settings.workspace), SetStore(settings.workspace)
    if is_set(ensemble_id, store, sets):
        if fusion:
            raise InvalidInputError(f"{ensemble_id} is a set: its fused spaces are named by its first ensemble's id.")
        channels = sets.load(ensemble_id).channels
        posteriors = set_posteriors(pool_set(channels, store.posteriors), channels)
    else:
        posteriors = store.posteriors(ensemble_id)
    if fusion:
        posteriors = FusionStore(store).fused(ensemble_id, fusion).posteriors(posteriors)
    write_posteriors(posteriors, path, replace=replace)
    what = "a fused space" if fusion else f"{posteriors.n_members} members"
    terminal.print_message(f"Wrote {what} × {posteriors.n_images:,} images to {path}.")
    if as_json:
        terminal.print_json({"id": ensemble_id, "path": str(path.absolute()), "bytes": path.stat().st_size})
