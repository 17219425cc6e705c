"""`loray init`: a spec for one's own data, ready to apply."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.output import say
from loray.cli.starter import starter_text
from loray.errors import ModelError, SpecError

if TYPE_CHECKING:
    from loray.data.sources.suggest import Part
    from loray.spec.train import BaseModelSpec

NUM_SHOWN = 3
"""Rows that are shown as the model will see them."""
SHOWN_COLUMNS = 12


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("more", nargs=-1, metavar="[DATA]...")
@click.option(
    "--base-model",
    default="models/tiny",
    show_default=True,
    metavar="FOLDER_OR_ID",
    help="The model that the adapter is for.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    help="A file, a folder or a glob of JSON, Parquet, CSV or text, which is looked into; may be "
    "given again, or followed by more.",
)
@click.option(
    "--field",
    "named",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="Say yourself what a column is, such as prompt=question; may be given again.",
)
@click.option("--measure", is_flag=True, help="Time a few passes through the base, for the time.")
def init(
    file: Path,
    more: tuple[str, ...],
    base_model: str,
    data: tuple[str, ...],
    named: tuple[str, ...],
    *,
    measure: bool,
) -> None:
    """Write a commented spec to FILE; with --data, one that is ready to apply.

    The files are looked into: how their rows can be read, how long they are, how many. Settings
    are chosen for them, the base and this machine; the file says why. Where the columns can be read
    in more than one way, it is said, or asked for with --field.
    """
    if more and not data:
        raise SpecError(f"found {more[0]!r} after FILE; wanted --data before it")
    if file.exists():
        raise SpecError(f"{file} exists; nothing was written; choose another name")
    base = _base(base_model)
    if not data:
        if named or measure:
            raise SpecError("--field and --measure are for --data; give it too")
        _write(file, starter(adapter_name(file), base_model, None))
        say(f"wrote {file}; set what it asks for, then: loray validate {file}")
        return
    if "://" in data[0]:
        _write(
            file, starter(adapter_name(file), base_model, data[0], _fields_named(data[0], named))
        )
        say(f"wrote {file}; {data[0]} is looked into when it is read: loray validate {file}")
        return
    from loray.cli.first_look import show_first, time_first
    from loray.machines.hardware import this_machine
    from loray.pipeline.first_spec import first_spec

    parts = look_into([*data, *more], named)
    machine = this_machine()
    first = first_spec(adapter_name(file), base, parts, machine, NUM_SHOWN)
    if measure:
        time_first(first)
    _write(file, starter_text(first.spec, first.why, [_comments(part) for part in parts]))
    show_first(first, machine, is_measured=measure)
    say()
    _say_next(file)


def look_into(uris: Sequence[str], named: Sequence[str]) -> "list[Part]":
    """What the files are, with the fields that the command line names; refused where unclear.

    Raises:
        SpecError: nothing is there, or nothing says what a column is.
    """
    from loray.cli.first_look import show_part

    fields = _named_fields(named)
    parts = [part for uri in uris for part in _parts_at(uri)]
    for part in parts:
        show_part(part)
        _take_named(part, fields)
    return parts


def _parts_at(uri: str) -> "list[Part]":
    from loray.data.sources.suggest import suggest

    if "://" in uri:
        raise SpecError(
            f"{uri} cannot be looked into beside files on this disk; give it alone, with --field, "
            "or add its source to the file that is written"
        )
    try:
        found = suggest(uri)
    except OSError as error:
        raise SpecError(f"{uri}: {(error.strerror or str(error)).lower()}; correct it") from error
    if not found:
        from loray.spec.local_files import list_local
        from loray.spec.sources import TextSource

        fault = list_local(TextSource(kind="text", uri=uri)).fault
        raise SpecError(fault or f"found nothing but empty files at {uri}; wanted rows")
    return found


def _fields_named(uri: str, named: Sequence[str]) -> dict[str, str]:
    """What the command line says of a source that cannot be looked into from here.

    Raises:
        SpecError: nothing.
    """
    if not named:
        raise SpecError(
            f"{uri} is not looked into; wanted --field for each column, such as --field "
            "prompt=question --field completion=answer; or copy some rows here, run init on them, "
            "and put the address into `uri`"
        )
    return _named_fields(named)


def _named_fields(named: Sequence[str]) -> dict[str, str]:
    return dict(map(_named_field, named))


def _named_field(text: str) -> tuple[str, str]:
    name, sign, column = text.partition("=")
    if not sign or not column:
        raise SpecError(f"--field: found {text!r}; wanted FIELD=COLUMN, such as prompt=question")
    return name, column.replace("\\n", "\n")


def _take_named(part: "Part", fields: dict[str, str]) -> None:
    """Use what the command line says of the columns.

    Raises:
        SpecError: it names a column that is not there, or nothing says what the columns are.
    """
    from pydantic import ValidationError

    from loray.data.sources.readings import Reading, Readings
    from loray.spec.fields import FieldsSpec

    if part.kind == "text":
        return
    if not fields:
        if part.readings.best is None:
            raise SpecError(f"{part.uri}: {part.readings.why_not}")
        return
    try:
        columns = FieldsSpec.model_validate(fields).columns
    except ValidationError as error:
        raise SpecError(f"--field: {error.errors()[0]['msg']}") from error
    if absent := [name for name in columns if name not in part.names]:
        raise SpecError(
            f"--field: found no column {absent[0]!r} in {part.uri}; there are "
            f"{', '.join(part.names[:SHOWN_COLUMNS])}"
        )
    part.readings = Readings(Reading(fields))


def _base(path: str) -> "BaseModelSpec":
    """The base, with the commit that the hub's cache has of it."""
    from loray.pipeline.first_spec import cached_revision
    from loray.spec.train import BaseModelSpec

    revision = None if Path(path).is_dir() else cached_revision(path)
    return BaseModelSpec(path=path, revision=revision)


def _comments(part: "Part") -> list[str]:
    from loray.pipeline.first_spec import FEW_FILES

    if part.kind == "text":
        is_cut = part.num_files < FEW_FILES
        return ["A row is a paragraph, so that some can be held out."] if is_cut else []
    others = [f"Or: {other.options}" for other in part.readings.others]
    return [f"Found: {', '.join(part.names[:SHOWN_COLUMNS])}.", *others]


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise SpecError(f"{file} exists; nothing was written; choose another name") from error
    except OSError as error:
        raise SpecError(
            f"{file}: {(error.strerror or '').lower()}; choose another place"
        ) from error


def _say_next(file: Path) -> None:
    from loray.cli.looked_into import load_looked_into

    try:
        load_looked_into(file, ())
    except (SpecError, ModelError) as error:
        say(f"wrote {file}, which `loray validate` does not take yet:")
        say(str(error))
        return
    say(f"wrote {file}; `loray validate {file}` finds it sound")
    say(f"next: loray plan {file}    what would run, and whether it fits")
    say(f"      loray apply {file}   all of it; --until dataset for the rows alone")


def adapter_name(file: Path) -> str:
    """A name that the registry can hold, from a file's name."""
    name = re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("-._")[:64]
    return name or "my-adapter"


def starter(
    name: str, base_model: str, data: str | None, fields: dict[str, str] | None = None
) -> str:
    """The text of a spec for data that was not looked into.

    Raises:
        SpecError: `fields` are those of no row.
    """
    from pydantic import ValidationError

    from loray.pipeline.first_spec import default_spec
    from loray.spec.sources import is_read_of_folder

    kind = next((k for k in ("parquet", "csv") if is_read_of_folder(data or "", k)), "jsonl")
    source = {
        "kind": kind,
        "uri": data or f"data/{name}/*.jsonl",
        "fields": fields or {"prompt": "prompt", "completion": "completion"},
    }
    try:
        spec = default_spec(name, _base(base_model), [source])
    except ValidationError as error:
        raise SpecError(f"--field: {error.errors()[0]['msg']}") from error
    return starter_text(spec, {}, [()])
