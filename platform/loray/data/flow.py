"""The one pass over the corpus, in Ray Data: read a block, clean it, encode it, hold the result.

Ray fuses reading and all stages into one task a block, so a block crosses no process border until
it is done. Results are held in the object store, which spills to disk.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import ray
import ray.data
from ray.data import DataContext, Datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask

from loray.data.batch import Stage
from loray.data.sources.blocks import read_block
from loray.data.sources.rows import Block
from loray.errors import LorayError
from loray.machines.ray_logs import ray_level

if TYPE_CHECKING:
    from ray.data.dataset import MaterializedDataset


SETTINGS = {
    "enable_progress_bars": False,
    "print_on_execution_start": False,
    # Results are held until the last of them is there, and spill to disk. Ray would take them for
    # a pile that somebody is about to work off, and start one task at a time once they fill half
    # of the object store.
    "override_object_store_memory_limit_fraction": 1e6,
}
QUIET_LOGGER = "ray.data"
PROGRESS_LOGGER = "ray.data._internal.progress"
"""It warns that there are no progress bars."""


class BlockSource(Datasource):
    """One read task for each block."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._blocks = blocks

    def estimate_inmemory_data_size(self) -> int | None:
        """Bytes on disk; rows and tokens take a few times as much."""
        return sum(block.end - block.start for block in self._blocks)

    def get_read_tasks(
        self,
        parallelism: int,  # noqa: ARG002 (blocks are cut already)
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,  # noqa: ARG002
    ) -> list[ReadTask]:
        """As Ray asks for them."""
        nothing = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [
            ReadTask(partial(_read, block), nothing, per_task_row_limit=per_task_row_limit)
            for block in self._blocks
        ]


def run_stages(blocks: Sequence[Block], stages: Iterable[Stage]) -> "MaterializedDataset[pa.Table]":
    """All rows of the blocks, put through the stages batch by batch.

    Raises:
        SourceError: a file can no longer be read.
    """
    rows = ray.data.read_datasource(BlockSource(blocks), override_num_blocks=len(blocks))
    for stage in stages:
        rows = rows.map_batches(
            stage, batch_format="pyarrow", batch_size=None, zero_copy_batch=True
        )
    try:
        held: MaterializedDataset[pa.Table] = rows.materialize()
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, LorayError):
            raise error.cause from error
        raise
    return held


@contextmanager
def curating() -> Iterator[None]:
    """Ray Data as curation wants it: no bars, no log of plans, and every processor at work.

    The caller's settings are back afterwards.
    """
    context = DataContext.get_current()
    before = {name: getattr(context, name) for name in SETTINGS}
    for name, value in SETTINGS.items():
        setattr(context, name, value)
    quiet = {QUIET_LOGGER: ray_level(), PROGRESS_LOGGER: logging.ERROR}
    loggers = {logging.getLogger(name): level for name, level in quiet.items()}
    levels = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(level)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        for logger, level in levels.items():
            logger.setLevel(level)


def _read(block: Block) -> Iterator[pa.Table]:
    try:
        yield from read_block(block)
    except (OSError, pa.ArrowException) as error:
        raise block.file.unreadable(error) from error
