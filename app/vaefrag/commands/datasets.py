"""`vaefrag datasets`: what there is to train on, and what is in a data set's files."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vaefrag import terminal
from vaefrag.commands import reports
from vaefrag.commands.options import Json, by_option


def datasets(
    dataset: Annotated[
        str | None, typer.Option(help="Look into this one: count, size, what is wrong with it.", show_default=False)
    ] = None,
    path: Annotated[Path | None, typer.Option(help="Its folder or file.", show_default=False)] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Of pictures of a folder: pixels of a side.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the data sets, and whether their files are on this machine; or look into one before training on it."""
    from vaefrag_core.config import DatasetConfig
    from vaefrag_core.config_errors import parse
    from vaefrag_core.datasets.catalog import describe_datasets, load_dataset
    from vaefrag_core.errors import InvalidInputError

    if dataset is not None:
        values = {"name": dataset, "path": str(path.absolute()) if path else None, "image_size": image_size}
        with by_option({"dataset": "name", "path": "path", "image_size": "image_size"}):
            config = parse(DatasetConfig, values)
        found = reports.dataset_result(load_dataset(config))
        if as_json:
            terminal.print_json(found)
        else:
            reports.show_dataset(found)
        return
    if path is not None or image_size is not None:
        raise InvalidInputError("Expected the name of the data set that the path is for. Add --dataset.")
    entries: list[dict[str, Any]] = [vars(entry) for entry in describe_datasets()]
    if as_json:
        terminal.print_json({"datasets": entries})
    else:
        reports.show_datasets(entries)
