"""An adapter that PEFT saved elsewhere, brought into the one form that the registry keeps.

What PEFT ignores is left out. What has a plain equal is rewritten into it, bit for bit the same
adapter: regular expressions into names, the base's own matrices beside a LoRA on the embedding or
the head left out, learned token rows into whole matrices. All else is refused, by name.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loray.errors import AdapterError
from loray.models.adapter_config import CONFIG_NAME, parse_config, parse_json
from loray.models.adapter_files import (
    MAX_CONFIG_BYTES,
    check_adapter_folder,
    copy_adapter_folder,
    tensor_entries,
)
from loray.models.adapter_neutral import files_to_leave_out, without_neutral
from loray.models.adapter_over_base import check_names, check_over_base
from loray.models.adapter_targets import PATTERNS, in_plain_names, needs_base
from loray.models.adapter_tensors import BASE_COPY, DELTA, LFS_POINTER, LFS_REMEDY
from loray.models.base_modules import BaseModules
from loray.spec.serve import ServeSpec

DEFAULT_SLOT_RANK = ServeSpec().max_rank
"""What `serve.max_rank` is where a spec names none."""
_TIED, _TOKENS = "ensure_weight_tying", "trainable_token_indices"


@dataclass(frozen=True, kw_only=True)
class ImportTerms:
    """For which base an adapter comes in, and how large it may be."""

    base_model: str
    """The base's folder or hub id, as the registry will call it."""
    base: BaseModules | None = None
    """The base's modules; None where it is not on this disk."""
    is_same_base: bool = False
    """The user's word that the base which the adapter names is this one."""
    max_rank: int = DEFAULT_SLOT_RANK
    """What a serving slot holds (`serve.max_rank`)."""


@dataclass
class ImportReport:
    """What an import did beside copying."""

    left_out: list[str] = field(default_factory=list)
    """Files in the folder that were neither opened nor copied."""
    notes: list[str] = field(default_factory=list)
    """What was left out of the configuration, or rewritten, and what could not be checked."""


def bring_in(folder: Path, target: Path, terms: ImportTerms) -> ImportReport:
    """Copy the adapter in `folder` into the empty folder `target`, in the registry's form.

    Raises:
        AdapterError: it is damaged, unsafe, for another base, or cannot be served exactly.
    """
    report = ImportReport(left_out=files_to_leave_out(folder))
    copy_adapter_folder(folder, target, left_out=report.left_out)
    given = _read_document(target)
    document, ignored = without_neutral(given)
    if ignored:
        report.notes.append(f"left out of {CONFIG_NAME}: {', '.join(ignored)}")
    named = parse_config(_text(_draft(document))).base_model_name_or_path  # names every fault
    _check_base_name(named, terms)
    if terms.is_same_base and named not in (None, terms.base_model):
        document["base_model_name_or_path"] = terms.base_model
        report.notes.append(f"the adapter names the base {named}; --base-is-the-same was given")
    from loray.models.adapter_sizes import check_sizes  # noqa: PLC0415 (numpy, likewise)
    from loray.models.base_tables import (  # noqa: PLC0415 (numpy: listing should not wait for it)
        Matrices,
        TableForm,
        without_base_tables,
    )

    matrices = Matrices()
    if terms.base is not None:
        entries = tensor_entries(target)
        plain_names = [e for e in entries if not e.name.endswith((DELTA, BASE_COPY))]
        check_names(plain_names, terms.base)
        document = _over_base(document, terms.base, report)
        form = TableForm(document, terms.base, target)
        document, matrices = without_base_tables(form, entries, report.notes)
    else:
        _refuse_without_base(document, terms.base_model)
        report.notes.append(
            f"{terms.base_model} is not on this disk, so names and shapes were not compared with it"
        )
    if document != given:
        (target / CONFIG_NAME).write_bytes(_text(document))
    if matrices:
        matrices.write(target)
    config = check_adapter_folder(target)
    check_sizes(target, config)
    if terms.base is not None:
        check_over_base(config, tensor_entries(target), terms.base, terms.max_rank)
    elif config.max_rank > terms.max_rank:
        raise AdapterError(
            f"the adapter has rank {config.max_rank}, and a serving slot holds at most "
            f"{terms.max_rank} (serve.max_rank); serve it with serve.max_rank: {config.max_rank} "
            f"and import it with --max-rank {config.max_rank}"
        )
    return report


def _read_document(folder: Path) -> dict[str, Any]:
    with (folder / CONFIG_NAME).open("rb") as stream:
        text = stream.read(MAX_CONFIG_BYTES)
    if text.startswith(LFS_POINTER):
        raise AdapterError(f"{CONFIG_NAME}: {LFS_REMEDY}")
    try:
        document = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise AdapterError(
            f"{CONFIG_NAME} cannot be read as JSON: {error}; save it again"
        ) from None
    if not isinstance(document, dict):
        raise AdapterError(f"{CONFIG_NAME} is not a JSON object; save the adapter again with PEFT")
    return document


def _draft(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with stand-ins for what is only known over a base, for the rest to be checked."""
    draft = dict(document)
    for key in needs_base(document):
        if key == "target_modules":
            draft[key] = ["any"]
        elif key in PATTERNS:
            draft[key] = {f"any{i}": value for i, value in enumerate(document[key].values())}
        else:
            draft[key] = None
    if document.get("layers_pattern") and document.get("layers_to_transform") in (None, []):
        draft["layers_pattern"] = None
    if isinstance(document.get(_TIED), bool):
        draft[_TIED] = False
    if _are_token_rows(document.get(_TOKENS)):
        draft[_TOKENS] = None
    saved = document.get("modules_to_save")
    if isinstance(saved, list) and all(isinstance(name, str) for name in saved):
        draft["modules_to_save"] = [name.removeprefix("model.") for name in saved]
    return draft


def _are_token_rows(value: object) -> bool:
    lists = value.values() if isinstance(value, dict) else [value]
    return all(
        isinstance(ids, list) and all(type(number) is int and number >= 0 for number in ids)
        for ids in lists
    )


def _refuse_without_base(document: Mapping[str, Any], base_model: str) -> None:
    keys = needs_base(document)
    keys += [key for key in (_TIED, _TOKENS) if document.get(key)]
    if keys:
        raise AdapterError(
            f"{', '.join(keys)} of {CONFIG_NAME} can only be read over the base model's own names "
            f"and weights, and {base_model} is not on this disk; download it, and give its folder"
        )


def _over_base(
    document: Mapping[str, Any], base: BaseModules, report: ImportReport
) -> dict[str, Any]:
    keys = needs_base(document)
    if not keys:
        return dict(document)
    plain = in_plain_names(document, base)
    targets = plain["target_modules"]
    report.notes.append(
        f"{', '.join(keys)} stand for {len(targets)} modules of the base model: "
        f"{', '.join(targets[:3])}{', ...' if len(targets) > 3 else ''}"
    )
    return plain


def _text(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=False) + "\n").encode()


def _check_base_name(named: str | None, terms: ImportTerms) -> None:
    if named is None or terms.is_same_base or is_same_place(named, terms.base_model):
        return
    raise AdapterError(
        f"{CONFIG_NAME} names the base model {ascii(named)[:200]}, and the import was for "
        f"{ascii(terms.base_model)[:200]}; import it for the base that it was trained on, or give "
        "--base-is-the-same if both are the same model (a copy elsewhere, or one quantized from it)"
    )


def is_same_place(named: str, wanted: str) -> bool:
    """Whether two spellings lead to one base: the same text, or the same folder on this disk."""
    if "://" in named:
        return False
    if os.path.normpath(named) == os.path.normpath(wanted):
        return True
    try:
        return Path(named).is_dir() and os.path.samefile(named, wanted)  # noqa: PTH121
    except (OSError, ValueError):
        return False
