"""What every spec model has in common."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from loray.spec.database_url import check_database_url
from loray.spec.imports import PATH


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys, coercion, NaN and infinity."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # an input may hold what must not be printed
        defer_build=True,  # a model within another is built with it, not twice: 70 ms less
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule over several fields, or a look at the disk, found wrong."""

    at: str
    """Dotted path of the field to change, from the model whose rule it is."""
    message: str
    reads: tuple[str, ...] = ()
    """Dotted paths of the other fields that led to it."""


class RuleError(ValueError):
    """Raised by a validator over several fields; the loader gives each finding its line."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("; ".join(finding.message for finding in findings))
        self.findings = findings


NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""Names of runs, adapters and aliases: lower case, 1 to 64 characters, no separators."""


def _has_no_double_dot(name: str) -> str:
    if ".." in name:
        raise ValueError(f"found {name!r}; wanted a name without '..'; use one dot")
    return name


def _is_no_number(alias: str) -> str:
    if alias.isdigit():
        raise ValueError(f"found {alias!r}, which reads as a version number; use a word")
    return alias


Name = Annotated[
    str, Field(pattern=NAME_PATTERN, max_length=64), AfterValidator(_has_no_double_dot)
]
AliasName = Annotated[Name, AfterValidator(_is_no_number)]
Column = Annotated[str, Field(min_length=1, max_length=256)]
"""Name of a column of a source."""
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


def _lies_where_we_read(location: str) -> str:
    """A local path or `s3://bucket/key`; the message never repeats a URI that holds credentials."""
    if not location or not location.isprintable():
        raise ValueError("wanted a path without control characters; write one")
    if "://" not in location:
        return location
    parts = urlsplit(location)
    if "@" in parts.netloc:
        raise ValueError(
            f"an {parts.scheme}:// location holds credentials; take them out and put them in the "
            "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        )
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(
            f"found the scheme {parts.scheme}://; wanted a local path or s3://bucket/key; use one"
        )
    return location


def _is_on_local_disk(folder: str) -> str:
    if not folder or not folder.isprintable() or "://" in folder:
        raise ValueError("wanted a folder on local disk, such as runs; write one")
    return folder


def _is_an_import_path(path: str) -> str:
    if PATH.fullmatch(path) is None:
        raise ValueError(f"found {path!r}; wanted package.module:name; write it so")
    return path


def _is_a_folder_or_hub_id(path: str) -> str:
    if not path or not path.isprintable() or "://" in path:
        raise ValueError("wanted a local folder, or a hub id such as org/model; write one")
    return path


def _is_a_plain_server_url(url: str) -> str:
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query:
        raise ValueError("the URL holds credentials; take them out and put them in the environment")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("wanted the URL of a server, such as http://localhost:9000; write one")
    return url


ModelPath = Annotated[str, Field(max_length=4096), AfterValidator(_is_a_folder_or_hub_id)]
LocalFolder = Annotated[str, Field(max_length=4096), AfterValidator(_is_on_local_disk)]
ImportPath = Annotated[str, Field(max_length=256), AfterValidator(_is_an_import_path)]
"""Where code of the user's own is; `loray.spec.imports` looks it up."""
Location = Annotated[str, Field(max_length=4096), AfterValidator(_lies_where_we_read)]
ServerUrl = Annotated[str, Field(max_length=4096), AfterValidator(_is_a_plain_server_url)]
DatabaseUrl = Annotated[str, Field(max_length=4096), AfterValidator(check_database_url)]
