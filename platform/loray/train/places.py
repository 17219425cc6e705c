"""Where suspect rows came from: their source and line, from the dataset's row files."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from loray.artifacts.diagnosis import Diagnosis
from loray.artifacts.filesystem import open_filesystem


def with_places(diagnoses: Sequence[Diagnosis], dataset: str) -> list[Diagnosis]:
    """The diagnoses with `source:line` of every row that the dataset at `dataset` has."""
    ids = sorted({row.id for found in diagnoses for row in found.rows})
    places = _places(ids, dataset) if ids else {}
    return [
        found.naming(replace(row, place=places.get(row.id)) for row in found.rows)
        for found in diagnoses
    ]


def _places(ids: list[str], dataset: str) -> dict[str, str]:
    filesystem, base = open_filesystem(dataset)
    try:
        rows = ds.dataset(f"{base}/rows", filesystem=filesystem, format="parquet")
    except FileNotFoundError:  # token files alone can be trained on, too
        return {}
    found = rows.to_table(["id", "source", "line"], filter=pc.field("id").isin(pa.array(ids)))
    return {row["id"]: f"{row['source']}:{row['line']}" for row in found.to_pylist()}
