"""The `data.sources` of a spec: where rows come from, and which of their columns hold what."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from loray.spec.base import Column, Location, ServerUrl, StrictModel
from loray.spec.fields import FieldsSpec

SUFFIXES = {
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet",),
    "csv": (".csv", ".tsv"),
    "text": (".txt", ".text", ".md", ".rst"),
}
"""What is read of a folder, by the kind of source, in capitals too; compressed files too, hidden
ones never."""
COMPRESSED = (".gz", ".zst")
"""Files whose names end so are decompressed; Parquet has compression of its own."""


def is_read_of_folder(name: str, kind: str) -> bool:
    """Whether the file `name`, its path below a folder, is one that a source of `kind` reads."""
    is_hidden = any(part.startswith((".", "_")) for part in name.split("/"))
    bare = name.lower()
    if kind != "parquet":
        bare = bare.removesuffix(".gz").removesuffix(".zst")
    return not is_hidden and bare.endswith(SUFFIXES[kind])


class S3Spec(StrictModel):
    """How to reach an `s3://` bucket; credentials come from the environment, never from here."""

    endpoint: ServerUrl | None = None
    """URL of an S3-compatible server; AWS when not given."""
    region: str = "us-east-1"
    """Region of the bucket."""
    stall_seconds: Annotated[float, Field(gt=0.0, le=3600.0)] = 60.0
    """How long the server may give no answer before reading fails."""


class JsonlSource(StrictModel):
    """JSON Lines: one object a line; plain, or compressed where the name ends in .gz or .zst."""

    kind: Literal["jsonl"]
    uri: Location
    """A file, folder or glob on local disk or `s3://bucket/key`."""
    fields: FieldsSpec
    """Which columns hold what."""
    s3: S3Spec = S3Spec()
    """Read only when `uri` is on S3."""


class ParquetSource(StrictModel):
    """Apache Parquet files."""

    kind: Literal["parquet"]
    uri: Location
    """A file, folder or glob on local disk or `s3://bucket/key`."""
    fields: FieldsSpec
    """Which columns hold what."""
    s3: S3Spec = S3Spec()
    """Read only when `uri` is on S3."""


def _is_one_character(delimiter: str) -> str:
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise ValueError(
            f"found {delimiter!r}; wanted one character that is no quote and no line end; "
            'write such as ";" or "\\t"'
        )
    return delimiter


class CsvSource(StrictModel):
    """Comma-separated values as RFC 4180 has them; a field is text and stays as it is written."""

    kind: Literal["csv"]
    uri: Location
    """A file, folder or glob on local disk or `s3://bucket/key`; .gz and .zst are decompressed."""
    fields: FieldsSpec
    """Which columns hold what."""
    delimiter: Annotated[str, AfterValidator(_is_one_character)] = ","
    """What parts two fields, one character."""
    columns: Annotated[tuple[Column, ...], Field(min_length=1)] | None = None
    """Names of the columns, of files without a header; else the first record has the names."""
    s3: S3Spec = S3Spec()
    """Read only when `uri` is on S3."""

    @model_validator(mode="after")
    def _no_list_in_a_cell(self) -> Self:
        if self.fields.messages is not None and self.fields.format != "transcript":
            raise ValueError(
                "a CSV field holds text, not a list of messages; name `prompt` and `completion`, "
                "or `text`, or write the corpus as kind: jsonl"
            )
        return self


class TextSource(StrictModel):
    """Plain text that is learned whole, as raw text is."""

    kind: Literal["text"]
    uri: Location
    """A file, folder or glob on local disk or `s3://bucket/key`; .gz and .zst are decompressed."""
    per: Literal["file", "paragraph", "line"] = "file"
    """What makes a row: a file, lines up to a blank one, or a line."""
    group: Literal["file", "row"] = "file"
    """`file` keeps all rows of a file in one split; `row` splits them."""
    s3: S3Spec = S3Spec()
    """Read only when `uri` is on S3."""

    @property
    def fields(self) -> FieldsSpec:
        """The one shape that its rows have."""
        return FieldsSpec(text="text", group="file" if self.group == "file" else None)


Source = Annotated[
    JsonlSource | ParquetSource | CsvSource | TextSource, Field(discriminator="kind")
]
