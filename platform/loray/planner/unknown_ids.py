"""What to say of a hub id that is neither on this disk nor among those that are known."""

import difflib
import re
from collections.abc import Collection

NUM_NEAREST = 3
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_QUANTIZED = (
    r"[-_.](unsloth-bnb-4bit|bnb-4bit|gguf|gptq|awq|exl2|mlx|fp8|fp4|nvfp4|int[48]|w[48]a\d+"
    r"|[48]bit|q[2-8]_).*"
)
_EXPERTS = r"mixtral|moe|\d+x\d+b|-a\d+(\.\d+)?b|gpt-oss|deepseek-(v[23]|r1$)|llama-4"
_VISION = (
    r"[-_.]vl(m|[-_.\d]|$)|vision|multimodal|pixtral|llava|gemma-3-(4|12|27)b|gemma-3n"
    r"|mistral-small-3\.[12]"
)
_INSTEAD = (
    "its weights are quantized already; name the model that it was made from, with "
    "base_model.quantization: nf4 to hold it in 4 bits"
)
_BY_NAME = (
    (_QUANTIZED, _INSTEAD),
    (_EXPERTS, "it has experts (MoE), which loray neither trains nor serves"),
    (_VISION, "it has parts for images or sound; loray trains and serves text models alone"),
)
"""What a part of a name mostly means. It decides nothing: the model's config does."""


def is_hub_id(path: str) -> bool:
    """Whether `path` can be `organisation/name` on the hub."""
    return _HUB_ID.fullmatch(path) is not None


def unknown_words(hub_id: str, known: Collection[str]) -> str:
    """Found; wanted; what to do.

    Args:
        known: ids of which the shape is known.
    """
    near = nearest(hub_id, known)
    meant = f"near it are {', '.join(near)}; " if near else ""
    found = (
        f"found no {hub_id} on this disk, and it is not among the {len(known)} models that are "
        "known by their hub id; "
    )
    seems = next((why for part, why in _BY_NAME if re.search(part, hub_id, re.IGNORECASE)), None)
    if seems is not None:
        return f"{found}{meant}by its name, {seems}"
    return f"{found}{meant}to plan for it, fetch it: loray model pull {hub_id}"


def nearest(hub_id: str, known: Collection[str]) -> list[str]:
    """Known ids that are most like it, those of the same name under another organisation first."""
    by_lower = {name.lower(): name for name in known}
    wanted = re.sub(_QUANTIZED, "", hub_id.lower())
    same = [name for low, name in by_lower.items() if _name(low) == _name(wanted)]
    close = difflib.get_close_matches(wanted, by_lower, n=NUM_NEAREST, cutoff=0.7)
    return list(dict.fromkeys([*same, *(by_lower[low] for low in close)]))[:NUM_NEAREST]


def _name(hub_id: str) -> str:
    return hub_id.rpartition("/")[2]
