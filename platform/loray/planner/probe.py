"""The one look at a base model before anything starts: its config, weights and tokenizer.

`loray validate`, `plan`, `apply`, `registry import`, `serve` and a training worker ask it. It reads
JSON files and the headers of weights, and needs neither torch nor Ray.
"""

from dataclasses import dataclass, field
from pathlib import Path

from loray.errors import ModelError, UnsupportedError
from loray.models.base_weights import BaseWeights, read_base_weights
from loray.models.support import support_of
from loray.planner.base_config import Config, beside_faults, config_faults
from loray.planner.base_rope import rope_notes
from loray.planner.base_shapes import type_faults, weight_faults
from loray.planner.base_tokens import token_findings
from loray.planner.configs import architecture_of, config_path, read_config
from loray.planner.headers import size_faults
from loray.spec.train import BaseModelSpec


@dataclass
class BaseProbe:
    """What was found out about a base model."""

    faults: list[str] = field(default_factory=list)
    """Why it cannot be used: found; wanted; what to do."""
    notes: list[str] = field(default_factory=list)
    """What to know of it."""
    positions: int | None = None
    """Positions that it was made for (`max_position_embeddings`); None where it says nothing."""


def probe_base(model: BaseModelSpec) -> BaseProbe:
    """Look at a base model that is on this disk; of another one nothing is said."""
    path = config_path(model)
    return probe_folder(path.parent) if path.is_file() else BaseProbe()


def probe_folder(folder: Path, *, with_tokenizer: bool = True) -> BaseProbe:
    """Look at the base model in `folder`, which has a `config.json`.

    Args:
        with_tokenizer: whether its tokenizer is looked at, which an adapter's import does not need.
    """
    found = BaseProbe()
    config: Config = {}
    try:
        config = read_config(folder / "config.json")
    except ModelError as error:
        found.faults.append(str(error))
    else:
        found.faults += config_faults(config, folder)
        found.faults += beside_faults(folder)
    is_sound = not found.faults
    weights = read_base_weights(folder)
    found.faults += weights.faults
    if is_sound and not weights.faults:
        found.faults += _shape_faults(config, weights)
        found.notes += rope_notes(config)
    rows = config.get("vocab_size")
    if type(rows) is int and rows > 0 and with_tokenizer:
        tokens = token_findings(folder, rows)
        found.faults += tokens.faults
        found.notes += tokens.notes
    positions = config.get("max_position_embeddings")
    found.positions = positions if type(positions) is int else None
    return found


def _shape_faults(config: Config, weights: BaseWeights) -> list[str]:
    """What of the weights is not as a sound config says."""
    try:
        if not support_of(config).is_tested:
            return [*type_faults(weights.tensors), *size_faults(config, weights.tensors)]
        shape = architecture_of(config)
    except UnsupportedError as error:
        return [str(error)]
    except (ModelError, KeyError):
        return []  # a shape that cannot be counted
    return list(weight_faults(weights.tensors, shape, str(config["model_type"])))


def check_base(model: BaseModelSpec, *, with_tokenizer: bool = True) -> None:
    """The same, for who cannot go on without.

    Raises:
        UnsupportedError: names every fault.
    """
    path = config_path(model)
    if not path.is_file():
        return
    faults = probe_folder(path.parent, with_tokenizer=with_tokenizer).faults
    if faults:
        raise UnsupportedError(f"the base model {model.path} cannot be used: {'; '.join(faults)}")
