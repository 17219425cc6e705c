"""Load a base model, in one way for training, evaluation and serving."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from loray.errors import ModelError
from loray.spec.train import NF4_BLOCK, BaseModelSpec

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, ImportError, SafetensorError, StrictDataclassError,
)  # fmt: skip
"""What transformers raises of a config or files that it cannot make a model of."""
NAMED_AT_MOST = 3
"""Weights that an error names."""


def load_base(spec: BaseModelSpec, *, device: str = "cpu") -> PreTrainedModel:
    """The base model in evaluation mode, its weights frozen.

    NF4 weights are held in 4 bits with double quantization and computed in `spec.dtype`, on CPU
    as on GPU. Source: arXiv:2305.14314, sec. 3.

    Raises:
        ModelError: there is no such model, its files cannot be read or lack a weight, or it cannot
            be held in NF4.
    """
    model = pretrained(spec, device=device)
    if spec.quantization == "nf4" and device == "cpu":
        compute_as_asked(model, spec.path)
        _let_go_of_files(model)
    model.requires_grad_(requires_grad=False)
    return model.eval()  # type: ignore[no-any-return]


def pretrained(spec: BaseModelSpec, *, device: str) -> PreTrainedModel:
    """What transformers' `from_pretrained` gives for `spec`.

    Raises:
        ModelError: there is no such model, or its files cannot be read, or hold other weights than
            the model of its config has: what lacks there transformers would draw at random.
    """
    # bitsandbytes warns at import that the optional package `kernels` is absent; nothing needs it.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if spec.quantization == "none" and is_stored_quantized(spec):
        raise ModelError(
            f"the files of {spec.path!r} hold quantized weights, but base_model.quantization is "
            "none; use quantization: nf4, or the base that they were made from"
        )
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            spec.path,
            revision=spec.revision or "main",
            dtype=DTYPES[spec.dtype],
            device_map={"": device},
            quantization_config=_quantization(spec),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are in the report, by name
        )
    except UNREADABLE as error:
        raise ModelError(
            f"base_model.path {spec.path!r} cannot be loaded: {error}; wanted a folder with "
            "config.json and safetensors weights, or a hub id that is already in the local cache"
        ) from error
    model, report = loaded
    _check_report(spec, report)
    _check_packed(spec, model)
    return cast("PreTrainedModel", model)


def is_stored_quantized(spec: BaseModelSpec) -> bool:
    """Whether what is stored is quantized already; faults of the folder are for `pretrained`."""
    try:
        config = AutoConfig.from_pretrained(
            spec.path, revision=spec.revision or "main", trust_remote_code=False
        )
    except UNREADABLE:
        return False
    return hasattr(config, "quantization_config")


def _check_report(spec: BaseModelSpec, report: Mapping[str, Any]) -> None:
    """Refuse weights that the files lack, of another shape, and layers that config.json lacks."""
    if report["missing_keys"]:
        raise ModelError(
            f"the files of {spec.path!r} lack {some_of(report['missing_keys'])}; wanted every "
            "weight of the model; fetch or save it again"
        )
    for name, found, wanted in sorted(report["mismatched_keys"]):
        raise _another_shape(spec, name, tuple(found), tuple(wanted))
    more = [name for name in report["unexpected_keys"] if _is_of_a_layer(name)]
    if more:
        raise ModelError(
            f"the files of {spec.path!r} hold {some_of(more)}, which the model of its config.json "
            "does not have; one of them is of another model; fetch or save it again"
        )


def _check_packed(spec: BaseModelSpec, model: nn.Module) -> None:
    """Refuse 4-bit weights of another shape than the config's, which transformers lets pass."""
    for name, module in model.named_modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None:
            found = tuple(state.shape)
            wanted = (module.out_features, module.in_features)
            if found != wanted:
                raise _another_shape(spec, f"{name}.weight", found, wanted)


def _another_shape(
    spec: BaseModelSpec, name: str, found: tuple[int, ...], wanted: tuple[int, ...]
) -> ModelError:
    return ModelError(
        f"{name} of {spec.path!r} has the shape {found}; wanted {wanted}, by config.json; fetch or "
        "save it again"
    )


def _is_of_a_layer(name: str) -> bool:
    return ".layers." in name and name.endswith((".weight", ".bias"))


def some_of(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    found = sorted(names)
    more = len(found) - NAMED_AT_MOST
    return ", ".join(found[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def stop_at(model: PreTrainedModel, end_token: int) -> None:
    """Make the engine end an answer at the token that training put at its end.

    It stops where the model's generation config says; a base that was never tuned to chat does
    not list its chat template's end of turn there.
    """
    config = model.generation_config
    if config is not None:
        known = config.eos_token_id
        ids = known if isinstance(known, list) else [known]
        config.eos_token_id = sorted({end_token, *(i for i in ids if i is not None)})


def compute_as_asked(model: PreTrainedModel, path: str) -> None:
    """Make bitsandbytes compute in NF4 on a CPU what was asked, or refuse.

    `loray.planner.legal` says which rows it misreads. On a CPU with AVX512-BF16 it would pack the
    weights anew at the first pass in evaluation mode, and compute in bfloat16 whatever was asked.

    Raises:
        ModelError: a layer's rows are of such a length.
    """
    from bitsandbytes.nn.modules import Linear4bit  # noqa: PLC0415 (not before its log is quiet)

    for name, module in model.named_modules():
        if not isinstance(module, Linear4bit):
            continue
        module.support_avx512bf16_for_cpu = False
        if module.in_features % NF4_BLOCK:
            raise ModelError(
                f"{name} of {path} has {module.in_features} inputs; in NF4 on a CPU bitsandbytes "
                f"misreads rows that are no multiple of {NF4_BLOCK}; use quantization: none or a "
                "GPU"
            )


def _let_go_of_files(model: PreTrainedModel) -> None:
    """Keep no view of a mapped file."""
    from bitsandbytes.nn.modules import Params4bit  # noqa: PLC0415

    for parameter in model.parameters():  # a single view of a mapped file keeps all of it resident
        if not isinstance(parameter, Params4bit):
            parameter.data = parameter.data.clone()


def _quantization(spec: BaseModelSpec) -> BitsAndBytesConfig | None:
    if spec.quantization == "none":
        return None
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=DTYPES[spec.dtype],
    )
