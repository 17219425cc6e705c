"""What every batch of a corpus goes through, bound to a spec; Ray or not, the same functions."""

import logging
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from loray.data.sequences.encode import Encoder
from loray.data.sources.blocks import cut_into_blocks, read_block
from loray.data.sources.files import find_eval_files
from loray.data.steps.chain import Chain, StepSetting, chain_of
from loray.data.steps.decontamination import EvalIndex, build_index, eval_texts
from loray.models.markup import markup_of
from loray.spec.data import DataSpec
from loray.spec.run import RunSpec
from loray.spec.steps import DecontaminationStep

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)


def stages_of(spec: RunSpec, tokenizer: "PreTrainedTokenizerFast") -> tuple[Chain, Encoder]:
    """The steps of `spec`, and what renders and encodes the rows that they leave."""
    data = spec.data
    special_texts = markup_of(tokenizer).special_texts
    setting = StepSetting(spec.seed, special_texts, _eval_indexes(data), data.readmit)
    return chain_of(data.steps, setting), encoder_of(spec)


def encoder_of(spec: RunSpec) -> Encoder:
    """What renders and encodes the rows of `spec`."""
    return Encoder(
        absolute_path(spec.base_model.path),
        spec.base_model.revision,
        spec.data.chat,
        spec.data.sequence,
        spec.data.split,
        spec.seed,
    )


def absolute_path(path: str) -> str:
    """A local folder by its full path, since workers may run elsewhere; a hub id as it is."""
    return str(Path(path).absolute()) if Path(path).is_dir() else path


def _eval_indexes(data: DataSpec) -> dict[int, EvalIndex]:
    """What rows must not hold, for each decontamination step; read here, sent to every worker."""
    indexes = {}
    files = find_eval_files(data)
    for number, step in enumerate(data.steps):
        if not isinstance(step, DecontaminationStep):
            continue
        blocks = cut_into_blocks(files[number])
        batches = chain.from_iterable(map(read_block, blocks))
        indexes[number] = build_index(eval_texts(batches, step.num_words), step.num_words)
        log.info(
            "step %d: %d evaluation text(s), %d too short to look for",
            number, len(indexes[number].items), indexes[number].num_unchecked,
        )  # fmt: skip
    return indexes
