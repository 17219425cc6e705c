"""Datasets made in this process: all that curation does, but for Ray."""

from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from loray.artifacts.describe import describe
from loray.artifacts.store import Store
from loray.data.ledger import make_ledger, narrow
from loray.data.replay import draw_replay
from loray.data.run import _end_token_ids
from loray.data.sequences.packing import place_sequences
from loray.data.sequences.tokens import Place, write_tokens
from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.files import find_files
from loray.data.stages import stages_of
from loray.data.steps.duplicates import mark_duplicates
from loray.data.totals import statistics_of
from loray.data.write import Settle, write_rows
from loray.models.chat import load_tokenizer
from loray.pipeline.recipe import dataset_recipe
from loray.spec.run import RunSpec
from tests.data.corpora import pairs, run_spec, source, write_jsonl

OPEN_FENCE = "here it is:\n```python\nprint('hello')"
STEPS = (
    {"kind": "unicode"},
    {"kind": "pii"},
    {"kind": "length", "min_chars": 4, "max_chars": 400},
    {"kind": "quality"},
    {"kind": "exact_duplicates"},
)
ODD = [
    "no json",
    {"ask": "where do you live?", "reply": "write to jane.roe@gmail.com"},
    {"ask": "what is 3?", "reply": "it is very very very 3"},  # as the row that has it
    {"ask": "show me", "reply": OPEN_FENCE},
    {"ask": "caf\u00c3\u00a9?", "reply": "a zero\u200bwidth space"},
    {"ask": "?", "reply": "y"},
    {"ask": "long", "reply": "z" * 300},
]


def make_dataset(spec: RunSpec) -> Path:
    """Curate and commit the dataset of `spec` into its storage."""
    recipe = dataset_recipe(spec)
    store = Store(spec.storage.root)
    work = store.work_folder(recipe.stage)
    statistics = _curate(work, spec)
    manifest = describe(
        work,
        recipe.stage,
        stage_version=recipe.stage_version,
        recipe=recipe.blocks,
        inputs=recipe.inputs,
        statistics=statistics,
    )
    store.commit(manifest, work)
    return store.fetch(recipe.stage)


def _curate(out: Path, spec: RunSpec) -> dict[str, Any]:
    data = spec.data
    tokenizer = load_tokenizer(spec.base_model.path)
    blocks = cut_into_blocks(find_files(data))
    batches = list(chain.from_iterable(map(read_block, blocks)))
    for stage in stages_of(spec, tokenizer):
        batches = [stage(batch) for batch in batches]
    narrowed = [narrow(batch) for batch in batches]
    ledger = make_ledger(narrowed, blocks)
    mark_duplicates(ledger, data.steps, lambda: narrowed, lambda rule: lambda pairs: pairs)
    if data.replay is not None:
        draw_replay(ledger, fraction=data.replay.fraction, seed=spec.seed)
    max_tokens = data.sequence.max_tokens
    num_packs = place_sequences(
        ledger, max_tokens=max_tokens, is_packing=data.sequence.packing, seed=spec.seed
    )
    rows = pa.concat_tables(map(Settle.of(ledger), batches)).sort_by("id")
    held_out = write_rows(out, [rows], has_replay=data.replay is not None)
    placed = pa.concat_tables(map(Place.of(ledger), batches)).sort_by("place")
    ends = _end_token_ids(data, tokenizer)
    write_tokens(out / "tokens", [placed], end_token_ids=ends, part_tokens=2000)
    found = statistics_of(ledger, num_packs=num_packs, max_tokens=max_tokens, held_out=held_out)
    found["seconds"]["total"] = 1.5
    return found


def small_spec(tmp_path: Path, tokenizer: Path, rows: list[Any] | None = None, **blocks) -> RunSpec:
    """The spec of a small corpus with a row of each kind, stored under `tmp_path`."""
    write_jsonl(tmp_path / "rows" / "a.jsonl", rows or [*pairs(60), *ODD])
    spec = run_spec(
        tokenizer,
        source(tmp_path / "rows" / "*.jsonl"),
        **{"steps": STEPS, "sequence": {"max_tokens": 128}, **blocks},
    )
    storage = spec.storage.model_copy(update={"root": str(tmp_path / "workspace")})
    return spec.model_copy(update={"storage": storage})
