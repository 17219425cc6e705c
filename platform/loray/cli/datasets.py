"""Which dataset a verb looks at: that of a spec, or the one in a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.hints import given
from loray.cli.output import complain
from loray.errors import SpecError

if TYPE_CHECKING:
    from loray.artifacts.manifest import Stage
    from loray.artifacts.store import Store
    from loray.spec.run import RunSpec


def _noted(context: click.Context, _: click.Parameter, place: Path) -> Path:
    """Note a spec, for the commands that messages name."""
    if not place.is_dir():
        given(context).spec = str(place)
    return place


place_argument = click.argument(
    "place", metavar="SPEC_OR_FOLDER", type=click.Path(path_type=Path), callback=_noted
)


def committed_folder(place: Path, overrides: Sequence[str]) -> Path:
    """The folder of a dataset that was made.

    Raises:
        ArtifactError: it was not; the message says how to make it.
    """
    if place.is_dir():
        from loray.data.review.folder import read_manifest

        _refuse_overrides(place, overrides)
        read_manifest(place)
        return place
    store, stage = _stage_of(place, overrides)
    return store.fetch(stage)


def quarantine_folder(place: Path, overrides: Sequence[str]) -> Path:
    """The same, or what a try at the dataset that failed has put aside.

    Raises:
        ArtifactError: there is neither.
    """
    if place.is_dir():
        _refuse_overrides(place, overrides)
        return place
    store, stage = _stage_of(place, overrides)
    tried = store.scratch / ".work" / stage.folder
    if store.read_manifest(stage) is None and (tried / "quarantine").is_dir():
        complain(f"the dataset is not made; {tried} holds what its last try put aside")
        return tried
    return store.fetch(stage)


def made_folder(run: "RunSpec") -> Path | None:
    """The folder of a spec's dataset; None while it is not made."""
    from loray.artifacts.store import Store
    from loray.pipeline.recipe import dataset_recipe

    store, stage = Store(run.storage.root), dataset_recipe(run).stage
    return store.fetch(stage) if store.read_manifest(stage) is not None else None


def _stage_of(spec: Path, overrides: Sequence[str]) -> "tuple[Store, Stage]":
    from loray.artifacts.store import Store
    from loray.pipeline.recipe import dataset_recipe
    from loray.spec.load import load_checked

    run = load_checked(spec, overrides)
    return Store(run.storage.root), dataset_recipe(run).stage


def _refuse_overrides(folder: Path, overrides: Sequence[str]) -> None:
    if overrides:
        raise SpecError(
            f"found --set with the folder {folder}, which is made already; wanted a spec; name "
            "one, or leave out --set"
        )
