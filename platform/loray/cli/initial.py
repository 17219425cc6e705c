"""`loray init`: a commented spec to start from."""

import re
from importlib.resources import files
from pathlib import Path

import click

from loray.cli.output import say
from loray.errors import SpecError

STARTER = "starter.yaml"


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--base-model",
    default="models/tiny",
    show_default=True,
    metavar="FOLDER_OR_ID",
    help="The model that the adapter is for.",
)
@click.option("--data", default=None, metavar="PATH", help="A JSONL file, or a glob of them.")
def init(file: Path, base_model: str, data: str | None) -> None:
    """Write a commented starter spec to FILE."""
    text = starter(adapter_name(file), base_model, data)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise SpecError(f"{file} exists; nothing was written; choose another name") from error
    except OSError as error:
        raise SpecError(
            f"{file}: {(error.strerror or '').lower()}; choose another place"
        ) from error
    say(f"wrote {file}; set what it asks for, then: loray validate {file}")


def adapter_name(file: Path) -> str:
    """A name that the registry can hold, from a file's name."""
    name = re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("-._")[:64]
    return name or "my-adapter"


def starter(name: str, base_model: str, data: str | None) -> str:
    """The text of a starter spec."""
    text = files("loray.cli").joinpath(STARTER).read_text(encoding="utf-8")
    values = {
        "my-adapter": name,
        "models/tiny": _quoted(base_model),
        "data/my-adapter/*.jsonl": _quoted(data or f"data/{name}/*.jsonl"),
    }
    for placeholder, value in reversed(values.items()):
        text = text.replace(f" {placeholder}\n", f" {value}\n")
    return text


def _quoted(text: str) -> str:
    """`text` as a YAML scalar; in quotes where it could be read as something else."""
    is_plain = re.fullmatch(r"[A-Za-z./][A-Za-z0-9./_-]*(\*[A-Za-z0-9./_-]*)*", text)
    return text if is_plain else "'" + text.replace("'", "''") + "'"
