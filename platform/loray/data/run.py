"""Curation from top to bottom: one streaming pass over the corpus, then decisions on its ledger."""

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from loray.data.exchange import in_order, put_through
from loray.data.flow import curating, run_stages
from loray.data.ledger import Ledger, make_ledger, narrow
from loray.data.remedies import lost_to_one_reason
from loray.data.replay import draw_replay
from loray.data.sequences.packing import place_sequences
from loray.data.sequences.tokens import Place, write_tokens
from loray.data.sources.blocks import cut_into_blocks
from loray.data.sources.files import find_files, left_out
from loray.data.stages import absolute_path, stages_of
from loray.data.steps.duplicates import mark_duplicates
from loray.data.steps.similarity import likeness
from loray.data.totals import (
    check_budget,
    describe_rejects,
    odd_columns,
    statistics_of,
)
from loray.data.write import Settle, write_rows
from loray.errors import SourceError
from loray.models.chat import encode, end_token_id, load_tokenizer
from loray.models.markup import markup_of
from loray.spec.data import DataSpec
from loray.spec.run import RunSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data.dataset import MaterializedDataset
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)


def curate_to(
    out: Path, spec: RunSpec, *, report: Callable[[str], None] = log.info
) -> dict[str, Any]:
    """Write the dataset of `spec` under the empty folder `out`.

    The same corpus and spec give the same bytes, whatever the number of workers.

    Args:
        report: hears a line for what is left out: files beside the sources' own, and columns.

    Returns:
        statistics for the manifest.

    Raises:
        SourceError: a file is missing, or too many rows are bad.
        DatasetError: nothing is left to learn from, or replay is too small.
        ModelError: the tokenizer cannot be used.
    """
    began = time.perf_counter()
    data = spec.data
    files = find_files(data)
    for line in left_out(data):
        report(line)
    tokenizer = load_tokenizer(absolute_path(spec.base_model.path), spec.base_model.revision)
    stages = stages_of(spec, tokenizer)
    end_token_ids = _end_token_ids(data, tokenizer)
    blocks = cut_into_blocks(files)
    log.info("curating %d file(s) in %d block(s)", len(files), len(blocks))

    with curating():
        rows = run_stages(blocks, stages)
        narrowed = put_through(rows, narrow)
        ledger = make_ledger(map(ray.get, narrowed), blocks)
        mark_duplicates(
            ledger,
            data.steps,
            partial(map, ray.get, narrowed),
            partial(likeness, rows, ledger.ids),
        )
        del narrowed
        _check(ledger, spec, rows, out)
        for line in lost_to_one_reason(ledger, data):
            report(line)
        if data.replay is not None:
            draw_replay(ledger, fraction=data.replay.fraction, seed=spec.seed)
        num_packs = place_sequences(
            ledger,
            max_tokens=data.sequence.max_tokens,
            is_packing=data.sequence.packing,
            seed=spec.seed,
        )
        held_out = _write_rows(ledger, spec, rows, out)
        write_tokens(
            out / "tokens",
            in_order(rows, Place.of(ledger), "place", ledger.sequences.num_placed),
            end_token_ids=end_token_ids,
            part_tokens=data.sequence.part_tokens,
        )

    found = statistics_of(
        ledger, num_packs=num_packs, max_tokens=data.sequence.max_tokens, held_out=held_out
    )
    found["seconds"]["total"] = round(time.perf_counter() - began, 3)
    for line in odd_columns(found):
        report(line)
    log.info("curated %s", found["rows"])
    return found


def _end_token_ids(data: DataSpec, tokenizer: "PreTrainedTokenizerFast") -> frozenset[int]:
    """What answers and raw texts end with; a template that refuses a plain question is refused."""
    sources = [*data.sources, *([data.replay.source] if data.replay else [])]
    ends = {markup_of(tokenizer).eos}
    if any(source.fields.text is None for source in sources):
        probe = [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "reply"}]
        encode(probe, tokenizer, data.chat)
        ends.add(end_token_id(tokenizer, data.chat))
    return frozenset(ends)


def _check(ledger: Ledger, spec: RunSpec, rows: "MaterializedDataset[pa.Table]", out: Path) -> None:
    """Hold the corpus to its budget; over it, the quarantine is written all the same."""
    try:
        check_budget(ledger, spec.data)
    except SourceError as error:
        _write_rows(ledger, spec, rows, out)
        raise SourceError(
            f"{error}\n{describe_rejects(out / 'quarantine')}\n  all are in {out / 'quarantine'}"
        ) from error


def _write_rows(
    ledger: Ledger, spec: RunSpec, rows: "MaterializedDataset[pa.Table]", out: Path
) -> dict[str, int]:
    settled = in_order(rows, Settle.of(ledger), "rank", len(ledger.ids))
    return write_rows(out, settled, has_replay=spec.data.replay is not None)
