"""A base model whose weights are read a part at a time, so that it is never whole in memory.

Its modules, its buffers and the type, shape and device of every weight are there from the start. A
weight that is not read yet is one zero, seen at every place. `DeferredBase.read` gives a part of
the model its weights, bit for bit those of `load_base`; whoever shares them out between workers
does so before the next part is read.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file, get_checkpoint_shard_files

from loray.errors import ModelError
from loray.models.load import compute_as_asked, is_stored_quantized, pretrained, some_of
from loray.spec.train import BaseModelSpec

if TYPE_CHECKING:
    from bitsandbytes.nn.modules import Linear4bit

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unread:
    """A weight that is still in its file."""

    name: str
    """In the file, which is the model's own."""
    dtype: torch.dtype
    """What the model computes in; 4-bit weights are made from it."""
    shape: tuple[int, ...]


class DeferredBase:
    """A base model in evaluation mode, its weights frozen, none of them read."""

    def __init__(
        self, model: PreTrainedModel, files: dict[str, Path], unread: dict[nn.Parameter, Unread]
    ) -> None:
        self.model = model
        self._files = files
        self._unread = unread

    def read(self, part: nn.Module) -> None:
        """Give `part`, whatever was put on it or around it, the weights that it still lacks.

        Weights are read, not mapped: a part takes what it holds and, for a moment, its largest
        weight as it is in the file.
        """
        wanted = [(p, self._unread.pop(p)) for p in part.parameters() if p in self._unread]
        for file in sorted({self._files[weight.name] for _, weight in wanted}):
            with safe_open(file, framework="pt", backend="pread") as source:
                for parameter, weight in wanted:
                    if self._files[weight.name] == file:
                        found = source.get_tensor(weight.name)
                        _fill(parameter, found.to(parameter.device, weight.dtype))


def defer_base(spec: BaseModelSpec, *, device: str = "cpu") -> DeferredBase | None:
    """The base model that `load_base` would load, with nothing read yet.

    Returns:
        None where transformers makes the weights from what is in the files in a way of its own;
        why is in the log.

    Raises:
        ModelError: as `load_base`, or a weight is not in the files or of another shape there.
    """
    if is_stored_quantized(spec):
        _tell_why_whole(spec, "its files hold quantized weights")
        return None
    model = pretrained(spec, device="meta")
    files = dict(weight_files(spec))
    if (reason := _unlike_the_files(model, files)) is not None:
        _tell_why_whole(spec, reason)
        return None
    unread = _empty(model, device)
    _check_shapes(spec, unread.values(), files)
    _compute_buffers(model, files, device)
    if spec.quantization == "nf4" and device == "cpu":
        compute_as_asked(model, spec.path)
    model.requires_grad_(requires_grad=False)
    return DeferredBase(model.eval(), files, unread)


def is_unread(weight: torch.Tensor) -> bool:
    """Whether a weight is one that `DeferredBase.read` has yet to read."""
    return weight.dim() > 0 and not any(weight.stride())


def _fill(parameter: nn.Parameter, value: torch.Tensor) -> None:
    """Give a weight its numbers, in 4 bits if it is such a one; it stays the object that it is."""
    parameter.data = value
    if hasattr(parameter, "bnb_quantized"):
        parameter.bnb_quantized = False
        parameter.to(value.device)  # packs it where it is


def _empty(model: PreTrainedModel, device: str) -> dict[nn.Parameter, Unread]:
    """Put one zero in the place of every weight, of which the model knows only the form.

    A tied weight stays tied. PEFT finds the device and the type that it looks for.
    """
    made: dict[nn.Parameter, nn.Parameter] = {}
    found: dict[nn.Parameter, Unread] = {}
    for name, weight in list(model.named_parameters(remove_duplicate=False)):
        path, _, attribute = name.rpartition(".")
        module: Any = model.get_submodule(path)
        if weight not in made:
            is_packed = hasattr(weight, "quant_state")
            new = _packed_zero(module, device) if is_packed else _zero(weight, device)
            new._is_hf_initialized = True  # type: ignore[attr-defined]  # noqa: SLF001 (leave it alone)
            made[weight] = new
            found[new] = Unread(name, weight.dtype, _shape_of(module, weight))
        setattr(module, attribute, made[weight])
    return found


def _shape_of(module: nn.Module, weight: nn.Parameter) -> tuple[int, ...]:
    """A 4-bit weight has the shape of what is in the file, whatever it should be."""
    if hasattr(weight, "quant_state"):
        return (cast("int", module.out_features), cast("int", module.in_features))
    return tuple(weight.shape)


def _zero(weight: nn.Parameter, device: str) -> nn.Parameter:
    zero = torch.zeros((), dtype=weight.dtype, device=device)
    return nn.Parameter(zero.expand(weight.shape), requires_grad=False)


def _packed_zero(linear: "Linear4bit", device: str) -> nn.Parameter:
    """The same in the form of 4-bit weights: two in a byte, in a column."""
    from bitsandbytes.nn.modules import Params4bit  # noqa: PLC0415 (seconds, and a log of its own)

    weight = cast("Params4bit", linear.weight)
    zero = torch.zeros((), dtype=weight.quant_storage, device=device)
    packed: nn.Parameter = Params4bit(
        zero.expand((weight.numel() + 1) // 2, 1),
        compress_statistics=weight.compress_statistics,
        quant_type=weight.quant_type,
        quant_storage=weight.quant_storage,
        blocksize=weight.blocksize,
        module=linear,
        bnb_quantized=True,
    )
    return packed


@torch.no_grad()
def _compute_buffers(model: PreTrainedModel, files: dict[str, Path], device: str) -> None:
    """Read the buffers that are in the files, and have transformers compute the others."""
    transient = {name for name, _ in model.named_non_persistent_buffers()}
    for name, buffer in list(model.named_buffers()):
        path, _, attribute = name.rpartition(".")
        module: Any = model.get_submodule(path)
        if name in transient:
            module.register_buffer(
                attribute, torch.empty_like(buffer, device=device), persistent=False
            )
            module._is_hf_initialized = False  # noqa: SLF001 (what transformers goes by)
            continue
        with safe_open(files[name], framework="pt", backend="pread") as source:
            module.register_buffer(attribute, source.get_tensor(name).to(device, buffer.dtype))
    model.initialize_weights()


def weight_files(spec: BaseModelSpec) -> Iterator[tuple[str, Path]]:
    """In which file each weight is; looked for as transformers does."""
    revision = spec.revision or "main"
    only = cached_file(
        spec.path, SAFE_WEIGHTS_NAME, revision=revision, _raise_exceptions_for_missing_entries=False
    )
    if only is not None:
        paths = [only]
    else:
        index = cached_file(spec.path, SAFE_WEIGHTS_INDEX_NAME, revision=revision)
        paths, _ = get_checkpoint_shard_files(spec.path, index, revision=revision)
    for path in paths:
        with safe_open(path, framework="pt") as source:
            yield from ((name, Path(path)) for name in source.keys())  # noqa: SIM118 (no mapping)


def _unlike_the_files(model: Any, files: dict[str, Path]) -> str | None:  # noqa: ANN401
    """Why its weights cannot be taken from the files as they are, if so."""
    if getattr(model, "_weight_conversions", None):
        return "transformers renames or converts what is in its files"
    tied: dict[str, str] = model.all_tied_weights_keys
    if any(name in files and other in files for name, other in tied.items()):
        return "its files hold both of two weights that are tied"
    if unknown := [name for name in _names(model) if name not in files]:
        return f"{some_of(unknown)} has another name in its files"
    if any(getattr(module, "source_cls", nn.Linear) is not nn.Linear for module in model.modules()):
        return "it holds weights transposed"
    return None


def _names(model: PreTrainedModel) -> Iterator[str]:
    """Of what is read from files, tied weights once."""
    yield from (name for name, _ in model.named_parameters())
    transient = {name for name, _ in model.named_non_persistent_buffers()}
    yield from (name for name, _ in model.named_buffers() if name not in transient)


def _check_shapes(spec: BaseModelSpec, unread: Iterable[Unread], files: dict[str, Path]) -> None:
    by_file: dict[Path, list[Unread]] = {}
    for weight in unread:
        by_file.setdefault(files[weight.name], []).append(weight)
    for file, weights in by_file.items():
        with safe_open(file, framework="pt") as source:
            for weight in weights:
                found = tuple(source.get_slice(weight.name).get_shape())
                if found != weight.shape:
                    raise ModelError(
                        f"{weight.name} of {spec.path!r} has the shape {found} in {file.name}; "
                        f"wanted {weight.shape}, by config.json; fetch or save it again"
                    )


def _tell_why_whole(spec: BaseModelSpec, reason: str) -> None:
    LOG.warning(
        "every worker loads %s whole before it keeps its share, because %s", spec.path, reason
    )
