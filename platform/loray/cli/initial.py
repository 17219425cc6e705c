"""`loray init`: a commented spec to start from."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loray.cli.output import say
from loray.errors import SpecError
from loray.spec.yaml12 import flow_mapping, written

if TYPE_CHECKING:
    from loray.data.sources.suggest import Suggestion

STARTER = "starter.yaml"
MAX_TOKENS = 1024
"""Longest sequences of the starter, for a base that has the positions."""
UNKNOWN = {"prompt": "COLUMN_OF_THE_QUESTION", "completion": "COLUMN_OF_THE_ANSWER"}


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--base-model",
    default="models/tiny",
    show_default=True,
    metavar="FOLDER_OR_ID",
    help="The model that the adapter is for.",
)
@click.option(
    "--data",
    default=None,
    metavar="PATH",
    help="A file, a folder or a glob of JSON Lines, Parquet, CSV or text; it is looked into.",
)
def init(file: Path, base_model: str, data: str | None) -> None:
    """Write a commented starter spec to FILE.

    The columns of what --data names are looked at, and `fields` are written as they seem to be.
    """
    found = None if data is None else _look_into(data)
    text = starter(adapter_name(file), base_model, data, found)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise SpecError(f"{file} exists; nothing was written; choose another name") from error
    except OSError as error:
        raise SpecError(
            f"{file}: {(error.strerror or '').lower()}; choose another place"
        ) from error
    for line in _told(data, found):
        say(line)
    say(f"wrote {file}; set what it asks for, then: loray validate {file}")


def _look_into(data: str) -> "Suggestion | None":
    from loray.data.sources.suggest import suggest

    try:
        return suggest(data)
    except OSError as error:
        raise SpecError(f"{data}: {(error.strerror or str(error)).lower()}; correct it") from error


def _told(data: str | None, found: "Suggestion | None") -> Iterator[str]:
    """What the look at the data found, a sentence each."""
    if data is None or found is None:
        return
    if found.kind == "text":
        yield f"{data} holds text; a row is a file"
        return
    yield f"{data} has the columns {', '.join(found.columns) or '(none)'}"
    if found.fields is None:
        yield "none has a name that says what it is: name them in `fields`"
    else:
        yield f"fields: {found.written}"
    yield from found.notes


def adapter_name(file: Path) -> str:
    """A name that the registry can hold, from a file's name."""
    name = re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("-._")[:64]
    return name or "my-adapter"


def starter(name: str, base_model: str, data: str | None, found: "Suggestion | None" = None) -> str:
    """The text of a starter spec.

    Args:
        found: what the files at `data` seem to be.
    """
    text = files("loray.cli").joinpath(STARTER).read_text(encoding="utf-8")
    longest = longest_of(base_model)
    values = {
        "name: my-adapter\n": f"name: {name}\n",
        "path: models/tiny\n": f"path: {written(base_model)}\n",
        "uri: data/my-adapter/*.jsonl\n": f"uri: {written(data or f'data/{name}/*.jsonl')}\n",
        "max_tokens: 512": f"max_tokens: {longest}",
        "max_context: 512": f"max_context: {longest}",
    }
    if found is not None:
        values |= {
            "- kind: jsonl\n": f"- kind: {found.kind}\n",
            "      fields: {prompt: prompt, completion: completion}\n": _fields_of(found),
        }
    for placeholder, value in values.items():
        text = text.replace(placeholder, value, 1)
    return text


def longest_of(base_model: str) -> int:
    """How many tokens the starter's sequences have: what the base has positions for, or less."""
    try:
        config = json.loads((Path(base_model) / "config.json").read_text(encoding="utf-8"))
        return max(16, min(int(config["max_position_embeddings"]), MAX_TOKENS))
    except (OSError, ValueError, KeyError, TypeError):
        return MAX_TOKENS


def _fields_of(found: "Suggestion") -> str:
    """The lines of a source that say what it holds."""
    if found.kind == "text":
        return "      per: file\n"
    fields = found.fields or UNKNOWN
    lines = [f"# Found: {', '.join(map(_harmless, found.columns))}."]
    if found.fields is None:
        lines.append("# None has a name that says what it is; put two of them here:")
    if found.delimiter != ",":
        lines.append(f"delimiter: {json.dumps(found.delimiter)}")
    lines.append(f"fields: {flow_mapping(fields)}")
    return "".join(f"      {line}\n" for line in lines)


def _harmless(name: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in name)[:64]
