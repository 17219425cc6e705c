"""An adapter's tensors held against the modules of its base, before anything loads either."""

import re
from collections.abc import Iterable, Mapping

from loray.errors import AdapterError
from loray.models.adapter_config import AdapterConfig
from loray.models.adapter_targets import same_targets
from loray.models.adapter_tensors import (
    A_PART,
    B_PART,
    BIASES,
    EMBEDDING_A,
    EMBEDDING_B,
    MAGNITUDE_PART,
    WEIGHT_PART,
    TensorEntry,
)
from loray.models.base_modules import PREFIX, BaseModules

_REMEDY = "import it for the base that it was trained on"
_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""What DistributedDataParallel, torch.compile and FSDP put into names."""
_VISION = ("language_model", "vision_tower", "visual", "vision_model", "text_model")


def check_names(entries: Iterable[TensorEntry], base: BaseModules) -> None:
    """Refuse an adapter of modules that the base has not, or that are not linear layers.

    Raises:
        AdapterError: names the first such module, and what it tells about the adapter's base.
    """
    modules = dict.fromkeys(entry.module for entry in entries if entry.module)
    odd = [name for name in modules if name not in base.linears and name not in base.tables]
    if not odd:
        return
    others = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
    raise AdapterError(
        f"the adapter changes {odd[0]!a:.200}{others}, which {_why_not(odd[0], base)}"
    )


def _why_not(name: str, base: BaseModules) -> str:
    layers = _layers(base.linears)
    layer = re.search(r"layers\.(\d+)\.", name)
    if f"{PREFIX}{name}" in base.linears:
        return (
            f"the base model calls {PREFIX}{name}: it was saved from the inner model, without its "
            "head; load it over AutoModelForCausalLM in PEFT and save it again, or put `model.` "
            "into the tensors' names"
        )
    own = _own_name(name, base)
    if own is not None:
        return (
            f"the base model calls {own}: the adapter was saved from within a wrapper (such as "
            "DistributedDataParallel or torch.compile), or with an adapter's name in its tensors; "
            "load it in PEFT over the bare model and save it again, or rename its tensors to "
            f"base_model.model.{own}.{A_PART} and so on"
        )
    if name in base.weights:
        return (
            "is not a linear layer; LoRA and modules_to_save are served on linear layers, "
            f"{base.embedding} and {base.head} only; train it without this module"
        )
    if any(word in name.split(".") for word in _VISION):
        return (
            "the base model has not: these are the names of a vision-language model; import it "
            "for that model's text-only base if there is one, with its tensors renamed"
        )
    if layer and int(layer[1]) >= layers:
        return (
            f"the base model has not: it has {layers} layers, 0 to {layers - 1}, so the adapter "
            f"was trained over a deeper one; {_REMEDY}"
        )
    return f"the base model has not; its modules have names such as {min(base.linears)}; {_REMEDY}"


def _own_name(name: str, base: BaseModules) -> str | None:
    """The base's linear layer that `name` is with a wrapper's or an adapter's name in it."""
    bare = re.sub(r"\.lora_[AB]\.\w+$", "", name)
    parts = [part for part in bare.split(".") if part not in _WRAPPERS]
    bare = ".".join(parts).removeprefix("base_model.model.")
    return bare if bare != name and bare in base.head_shapes else None


def _layers(names: Iterable[str]) -> int:
    numbers = [int(found[1]) for name in names if (found := re.search(r"layers\.(\d+)\.", name))]
    return max(numbers, default=-1) + 1


def check_over_base(
    config: AdapterConfig, entries: Iterable[TensorEntry], base: BaseModules, max_rank: int
) -> None:
    """Refuse an adapter that the engine could not serve over `base`.

    Args:
        config: of a folder that `check_adapter_folder` has passed, as are the entries.
        max_rank: what a serving slot holds.

    Raises:
        AdapterError: names the first module that does not fit, what it has and what it needs.
    """
    modules: dict[str, dict[str, TensorEntry]] = {}
    for entry in entries:
        modules.setdefault(entry.module, {})[entry.part] = entry
    for module, parts in sorted(modules.items()):
        _check_shapes(module, parts, base)
        if config.is_target(module) and WEIGHT_PART not in parts:
            _check_rank(module, config.rank(module), max_rank)
        if MAGNITUDE_PART in parts and module in base.tables:
            raise AdapterError(
                f"the adapter is a DoRA on {module} (use_dora), which is served with LoRA only; "
                f"leave {module} out of target_modules, or merge it with PEFT's merge_and_unload "
                "and use the result as the base"
            )
    lacking = [name for name in same_targets(config, base) if name not in modules]
    if lacking:
        raise AdapterError(
            f"target_modules names {lacking[0]} of the base model, for which the adapter has no "
            f"tensors ({len(lacking)} such modules): its base had fewer layers, or the file is "
            f"not whole; {_REMEDY}"
        )


def _check_rank(module: str, rank: int, max_rank: int) -> None:
    if rank > max_rank:
        raise AdapterError(
            f"the adapter has rank {rank} at {module}, and a serving slot holds at most "
            f"{max_rank} (serve.max_rank); serve it with serve.max_rank: {rank} and import it "
            f"with --max-rank {rank}"
        )


def _check_shapes(module: str, parts: Mapping[str, TensorEntry], base: BaseModules) -> None:
    is_embedding = module == base.embedding
    outputs, inputs = base.table_shape if is_embedding else base.head_shapes[module]
    ends = {
        A_PART: (inputs,), B_PART: (outputs,), MAGNITUDE_PART: (outputs,),
        WEIGHT_PART: base.table_shape, EMBEDDING_A: (outputs,), EMBEDDING_B: (inputs,),
        **dict.fromkeys(BIASES, (outputs,)),
    }  # fmt: skip
    for part, entry in parts.items():
        if is_embedding and part in (A_PART, B_PART):
            raise AdapterError(f"tensor {entry.name!a:.200} is of a linear layer, {module} is not")
        if part in BIASES and module not in base.biased:
            raise AdapterError(
                f"the adapter has a bias for {module}, the base model has none there; {_REMEDY}"
            )
        if part == WEIGHT_PART and entry.shape[0] != outputs and entry.shape[1:] == (inputs,):
            raise AdapterError(added_tokens(module, entry.shape[0], outputs))
        size = entry.shape[1:] if part in (A_PART, EMBEDDING_A) else entry.shape[:1]
        if (entry.shape if part == WEIGHT_PART else size) != ends[part]:
            raise AdapterError(
                f"the adapter has {part} {entry.shape} at {module}, which has {inputs} inputs and "
                f"{outputs} outputs in the base model; {_REMEDY}"
            )


def added_tokens(module: str, rows: int, vocabulary: int) -> str:
    """What to do with an adapter over a vocabulary that is not the base's."""
    return (
        f"the adapter has {module} with {rows} rows, the base model has {vocabulary}: tokens were "
        "added before it was trained, and this base and its tokenizer have no room for them; "
        f"resize the base once (resize_token_embeddings({rows})), save it with the adapter's "
        "tokenizer into a folder of its own, and import the adapter for that folder with "
        "--base-is-the-same; nothing that was learned is lost"
    )
