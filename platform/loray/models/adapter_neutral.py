"""What PEFT ignores in an `adapter_config.json`, and files beside it that no adapter needs.

Every release of PEFT writes new keys, null in a plain LoRA; every trainer leaves files of its own.
They are left out by name, and the import says which.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loray.errors import AdapterError
from loray.models.adapter_config import AdapterConfig
from loray.models.adapter_files import ADAPTER_FILES, MAX_README_BYTES, README_NAME

_BESIDE = re.compile(
    r"""
    \.gitattributes | \.gitignore | \.DS_Store | latest | zero_to_fp32\.py | LICENSE | NOTICE
    | .*\.(json|jsonl|jinja|txt|md|png|svg|jpg|jpeg|gif|webp|html|log|yaml|yml|csv|model)
    | random_states_\d+\.pkl
    | (optimizer|scheduler|scaler|rng_state.*|training_args)\.(pt|pth|bin)
    | events\.out\.tfevents\..*
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Tokenizers, trainers' states and logs, cards. A second set of weights is not among them."""
_ALWAYS_OFF = {"merge_weights": (True, False), "fan_in_fan_out": (True, False)}
"""Keys that change nothing over linear layers, whatever their value."""
_MAY_BE_EMPTY = ("exclude_modules", "layers_to_transform", "modules_to_save", "loftq_config")
_NEUTRAL: tuple[object, ...] = (None, False, [], {}, "")


def files_to_leave_out(folder: Path) -> list[str]:
    """Names in an adapter's folder that are not part of it, sorted; none of them is opened.

    Raises:
        AdapterError: it is not such a folder, or holds a file that nothing is known of.
    """
    if not folder.is_dir():
        raise AdapterError(f"{folder} is not a folder; give the folder that PEFT saved")
    found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    _check_complete(folder, found)
    left_out, unknown = [], []
    for entry in found:
        if entry.name in ADAPTER_FILES:
            if entry.name == README_NAME and not _is_plain(entry):
                left_out.append(entry.name)
        elif entry.is_dir(follow_symlinks=False) or _BESIDE.fullmatch(entry.name):
            left_out.append(entry.name)
        else:
            unknown.append(entry.name)
    if unknown:
        raise AdapterError(
            f"the adapter folder holds {', '.join(ascii(name)[:80] for name in unknown[:5])}, "
            f"which is neither part of an adapter ({', '.join(ADAPTER_FILES)}) nor a file that "
            "trainers and tokenizers leave beside one; remove it"
        )
    return left_out


def _check_complete(folder: Path, found: list["os.DirEntry[str]"]) -> None:
    names = {entry.name for entry in found}
    config, weights = ADAPTER_FILES[:2]
    if config in names and weights in names:
        return
    inner = [e.name for e in found if e.is_dir() and (folder / e.name / config).is_file()]
    if config not in names and inner:
        raise AdapterError(
            f"{folder} has no {config}, but its folders {', '.join(inner[:5])} do; name the one to "
            "import"
        )
    if config in names and (pickle := names & {"adapter_model.bin", "adapter_model.pt"}):
        raise AdapterError(
            f"{folder} has {min(pickle)}, a pickle, and no {weights}; pickles can run code and are "
            "never opened; convert it where you trust it: PeftModel.from_pretrained(base, folder)"
            ".save_pretrained(new_folder)"
        )
    if config not in names and "config.json" in names:
        raise AdapterError(
            f"{folder} holds a config.json and no {config}: it is a whole model, not an adapter; "
            "name it as a base_model.path, or give the folder that PEFT saved"
        )
    missing = ", ".join(name for name in (config, weights) if name not in names)
    raise AdapterError(f"{folder} has no {missing}; give the folder that PEFT saved")


def _is_plain(entry: "os.DirEntry[str]") -> bool:
    status = entry.stat(follow_symlinks=False)
    is_file = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    return is_file and status.st_size <= MAX_README_BYTES


def without_neutral(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A configuration without what changes nothing, and what was left out, in words."""
    kept, left_out = dict(document), []
    for key, value in document.items():
        if key not in AdapterConfig.model_fields:
            if _is_neutral(value) or value in _ALWAYS_OFF.get(key, ()):
                left_out.append(f"{key} ({_shown(value)})")
                del kept[key]
        elif _is_neutral(value) and _means_default(key, value):
            del kept[key]  # as PEFT's own default: not worth a word
    _drop_of_training(kept, left_out)
    return kept, left_out


def _is_neutral(value: object) -> bool:
    return any(value == off and type(value) is type(off) for off in _NEUTRAL)


def _means_default(key: str, value: object) -> bool:
    """Whether PEFT takes an empty value of a known key, which the form refuses, for its default."""
    field = AdapterConfig.model_fields[key]
    if field.is_required():
        return False
    default = field.get_default(call_default_factory=True)
    if value is None:
        return isinstance(default, (bool, dict, str))
    return default is None and value is not False and key not in _MAY_BE_EMPTY


def _drop_of_training(kept: dict[str, Any], left_out: list[str]) -> None:
    """Take out what only the beginning of a training knew; the saved A and B stand for it."""
    if kept.get("init_lora_weights") == "eva":  # fills A from the data; the base stays as it was
        of_eva = ("init_lora_weights", "eva_config")
        gone = [key for key in of_eva if kept.pop(key, None) is not None]
        left_out += [f"{key} (EVA is over when training begins)" for key in gone]
    if kept.get("init_lora_weights") != "loftq" and kept.get("loftq_config"):
        del kept["loftq_config"]
        left_out.append("loftq_config (of no use without init_lora_weights: loftq)")
    mapping = kept.get("auto_mapping")
    if isinstance(mapping, dict) and isinstance(mapping.get("unsloth_fixed"), bool):
        kept["auto_mapping"] = {k: v for k, v in mapping.items() if k != "unsloth_fixed"}
        left_out.append("auto_mapping.unsloth_fixed")


def _shown(value: object) -> str:
    return "null" if value is None else str(value).lower()
