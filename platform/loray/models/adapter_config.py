"""The closed form of PEFT's `adapter_config.json`.

PEFT itself reads any key and any value: a rank of a billion, a regular expression that never ends,
the path of a module to import. Here every key of PEFT 0.21's LoRA configuration is named; those
that change what an adapter computes in ways loray does not know must hold PEFT's own default.
"""

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from loray.artifacts.strict_json import parse_json
from loray.errors import AdapterError
from loray.spec.base import StrictModel
from loray.spec.fingerprint import canonical_json

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

CONFIG_NAME = "adapter_config.json"
DEFAULT_MAX_RANK = 1024

_DOTTED = r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*"
ModuleName = Annotated[str, Field(pattern=rf"^{_DOTTED}$", max_length=256)]
PATTERN_KEY = rf"\^?{_DOTTED}"
ModulePattern = Annotated[str, Field(pattern=rf"^{PATTERN_KEY}$", max_length=256)]
"""A module's dotted name, or the end of one; PEFT's leading `^` asks for the whole name."""


def _is_off(value: bool) -> bool:  # noqa: FBT001 (pydantic calls it)
    if value:
        raise ValueError("must be false")
    return value


Off = Annotated[bool, AfterValidator(_is_off)]
"""False: Literal[False] would take 0 too."""
Rank = Annotated[int, Field(ge=1)]
Alpha = Annotated[float, Field(gt=0.0, le=1e6)]
Layer = Annotated[int, Field(ge=0, le=100_000)]
Label = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=1024)]


class AutoMapping(StrictModel):
    """The class that PEFT found the base model to be; only transformers' own are taken."""

    base_model_class: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)]
    parent_library: Annotated[
        str, Field(pattern=r"^transformers(\.[A-Za-z0-9_]+)*$", max_length=256)
    ]


class AdapterConfig(StrictModel):
    """A plain LoRA, as PEFT 0.21 writes it. Source: `peft.tuners.lora.config.LoraConfig`."""

    peft_type: Literal["LORA"]
    r: Rank
    """Inner dimension of A and B where `rank_pattern` names no other."""
    lora_alpha: Alpha = 8.0
    lora_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    use_rslora: bool = False
    """Scale by alpha / sqrt(r). Source: arXiv:2312.03732."""
    use_dora: bool = False
    """A learned magnitude per output row. Source: arXiv:2402.09353."""
    target_modules: Annotated[tuple[ModuleName, ...], Field(min_length=1, max_length=10_000)]
    exclude_modules: tuple[ModuleName, ...] | None = None
    layers_to_transform: tuple[Layer, ...] | Layer | None = None
    rank_pattern: dict[ModulePattern, Rank] = Field(default_factory=dict)
    alpha_pattern: dict[ModulePattern, Alpha] = Field(default_factory=dict)
    base_model_name_or_path: Label | None = None
    revision: Label | None = None
    task_type: Literal["CAUSAL_LM"] | None = None
    inference_mode: bool = False
    fan_in_fan_out: bool = False
    init_lora_weights: bool | Literal["gaussian", "orthogonal"] = True
    """Only ways that leave the base's weights as they are; PiSSA and its like do not."""
    auto_mapping: AutoMapping | None = None
    peft_version: Label | None = None
    bias: Literal["none", "lora_only", "all"] = "none"
    """Biases of the base that are in the file, too: none, of targeted modules, of all modules."""
    modules_to_save: tuple[Literal["embed_tokens", "lm_head"], ...] | None = None
    """Modules of the base that are in the file in full."""

    megatron_core: Literal["megatron.core"] = "megatron.core"
    qalora_group_size: Annotated[int, Field(ge=1, le=65536)] = 16
    loftq_config: Annotated[dict[str, str], Field(max_length=0)] | None = None
    lora_bias: Off = False
    use_qalora: Off = False
    ensure_weight_tying: Off = False
    alora_invocation_tokens: None = None
    arrow_config: None = None
    corda_config: None = None
    eva_config: None = None
    kasa_config: None = None
    layer_replication: None = None
    layers_pattern: None = None
    lora_ga_config: None = None
    megatron_config: None = None
    monteclora_config: None = None
    target_parameters: None = None
    trainable_token_indices: None = None
    use_bdlora: None = None
    velora_config: None = None

    @property
    def max_rank(self) -> int:
        """The largest rank of any module."""
        return max(self.r, *self.rank_pattern.values(), 1)

    def rank(self, module: str) -> int:
        """The rank of `module`, a dotted name in the base model."""
        return self.rank_pattern.get(_pattern_of(self.rank_pattern, module), self.r)

    def alpha(self, module: str) -> float:
        """The alpha of `module`, a dotted name in the base model."""
        return self.alpha_pattern.get(_pattern_of(self.alpha_pattern, module), self.lora_alpha)

    def scaling(self, module: str) -> float:
        """What B A x is multiplied by in `module`, a dotted name in the base model."""
        rank = self.rank(module)
        return self.alpha(module) / (math.sqrt(rank) if self.use_rslora else rank)

    def is_target(self, module: str) -> bool:
        """Whether PEFT would put an adapter on `module`, a dotted name in the base model."""
        if not _ends_with(module, self.target_modules) or self.is_excluded(module):
            return False
        layers = self.layers_to_transform
        if layers is None or layers == () or module in self.target_modules:
            return True
        return _layer(module) in ((layers,) if isinstance(layers, int) else layers)

    def is_in_full(self, module: str) -> bool:
        """Whether the file holds `module` in full, in the place of the base's."""
        return _ends_with(module, self.modules_to_save or ())

    def is_excluded(self, module: str) -> bool:
        """Whether `exclude_modules` takes `module` out again."""
        return _ends_with(module, self.exclude_modules or ())

    def canonical(self) -> str:
        """The one text of what decides the adapter's outputs; where it came from is left out."""
        values = self.model_dump(mode="json", exclude=_INCIDENTAL, exclude_defaults=True)
        values["target_modules"] = sorted(self.target_modules)
        values["exclude_modules"] = sorted(self.exclude_modules or ())
        if self.modules_to_save:
            values["modules_to_save"] = sorted(self.modules_to_save)
        values["rank_pattern"] = list(self.rank_pattern.items())  # the first match counts
        values["alpha_pattern"] = list(self.alpha_pattern.items())
        return canonical_json(values)


_INCIDENTAL = {
    "auto_mapping", "base_model_name_or_path", "inference_mode", "init_lora_weights",
    "lora_dropout", "peft_version", "revision", "task_type",
}  # fmt: skip


def parse_config(text: bytes) -> AdapterConfig:
    """Read the text of an `adapter_config.json`.

    Raises:
        AdapterError: it is no JSON object, names a key twice, or is no plain LoRA; every fault is
            in the message.
    """
    try:
        parse_json(text)
        return AdapterConfig.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(dict.fromkeys(_fault(detail) for detail in error.errors()))
        raise AdapterError(
            f"{CONFIG_NAME} is not a plain LoRA: {faults}; train it without these, or merge it "
            "with PEFT's merge_and_unload and use the result as the base"
        ) from None
    except (ValueError, RecursionError) as error:
        raise AdapterError(
            f"{CONFIG_NAME} cannot be read as JSON: {error}; save it again"
        ) from None


def _fault(detail: "ErrorDetails") -> str:
    loc = detail["loc"]
    if loc and loc[0] in _UNIONS:
        return f"{loc[0]!a} is {_shown(detail['input'])}; wanted {_UNIONS[str(loc[0])]}"
    place = ".".join(str(part)[:80] for part in loc) or "the file"
    if detail["type"] == "extra_forbidden":
        return f"{place!a} is a key that PEFT 0.21 does not write"
    if detail["type"] == "missing":
        return f"{place!a} is missing"
    found = f"{place!a} is {_shown(detail['input'])}: {detail['msg']}"
    why = _WHY_NOT.get(str(loc[0]) if loc else "")
    return f"{found} ({why})" if why else found


def _shown(value: object) -> str:
    return ascii(value)[:80]


_UNIONS = {
    "init_lora_weights": "true, false, 'gaussian' or 'orthogonal' (PiSSA, OLoRA, CorDA, LoRA-GA "
    "and LoftQ change the base's weights: convert it with PEFT's save_pretrained(..., "
    "path_initial_model_for_weight_conversion=...))",
    "layers_to_transform": "numbers of layers from 0 to 100,000, or null",
}
"""What a key of several forms may be; pydantic tells of each form apart."""
_WHY_NOT = {
    "target_parameters": "LoRA on parameters, such as experts, is not served",
    "layer_replication": "it makes layers that the base has not",
    "lora_bias": "a bias of B is not served; if it stayed zero, save the adapter without it",
    "modules_to_save": "only embed_tokens and lm_head are served in full",
    "task_type": "only causal language models are served",
    "peft_type": "only LoRA is served",
}
"""Why a key is refused, where its fault alone does not say it."""


def _pattern_of(patterns: dict[str, Any], module: str) -> str:
    """The first key that matches, as `peft.utils.other.get_pattern_key` finds it."""
    for key in patterns:
        if re.match(rf"(.*\.)?({key})$", module):  # a ModulePattern: nothing in it repeats
            return key
    return module


def _ends_with(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.endswith(f".{name}") for name in names)


def _layer(module: str) -> int | None:
    """The first number among the name's parts that follows two others, as PEFT counts layers."""
    found = re.match(r".*?\.[^.]*\.(\d+)\.", module)
    return int(found[1]) if found else None
