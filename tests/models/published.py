"""The structure of published chat templates, in words of our own, and tokenizers that have them.

Kept of each: its control tokens, where turns and calls go, what it refuses, what it trims, and what
it does with reasoning. The prose that they tell a model about tools is shortened.
"""

from functools import cache
from pathlib import Path

from tokenizers import AddedToken

from loray.models.templates import TEMPLATES
from loray.quickstart.initialise import train_tokenizer

FOLDER = Path(__file__).parent / "templates"
THINK = ("<think>", "</think>")
CHATML = ("<|im_start|>", "<|im_end|>")
CALLS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
LLAMA = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
COMMAND = tuple(
    f"<|{name}|>"
    for name in (
        "START_OF_TURN_TOKEN", "END_OF_TURN_TOKEN", "USER_TOKEN", "CHATBOT_TOKEN", "SYSTEM_TOKEN",
        "START_THINKING", "END_THINKING", "START_ACTION", "END_ACTION",
    )
)  # fmt: skip
SPECIAL = {
    "llama2": ("<s>", "</s>"),
    "llama31": (*LLAMA, "<|eom_id|>"),
    "mistral3": (
        "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
        "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
    ),
    "qwen25": CHATML,
    "qwen3": CHATML,
    "gemma": ("<bos>", "<start_of_turn>", "<end_of_turn>"),
    "gemma3": ("<bos>", "<start_of_turn>", "<end_of_turn>"),
    "phi3": ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
    "phi4": (*CHATML, "<|im_sep|>"),
    "deepseek_r1": ("<bos>", "<eos>", "<user>", "<assistant>"),
    "command": COMMAND,
    "smollm3": CHATML,
}  # fmt: skip
NAMES = tuple(SPECIAL)
SPECIAL |= {
    "hermes": CHATML,
    "granite": ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>", "<|tool_call|>"),
    "nemo": SPECIAL["mistral3"],
    "phi4_mini": (*SPECIAL["phi3"], "<|tool|>", "<|/tool|>", "<|tool_call|>", "<|/tool_call|>"),
    "deepseek_v3": (
        "<bos>", "<eos>", "<user>", "<assistant>", "<calls>", "</calls>", "<call>", "</call>",
        "<sep>", "<output>", "</output>",
    ),
    "qwen3_coder": CHATML,
    "llama_pythonic": LLAMA,
}  # fmt: skip
CALLING = (
    "llama31", "mistral3", "qwen25", "qwen3", "command", "hermes", "granite", "nemo", "phi4_mini",
    "deepseek_v3", "qwen3_coder", "llama_pythonic",
)  # fmt: skip
"""Those that write tools."""
WRITTEN = {
    "qwen25": CALLS,
    "qwen3": (*CALLS, *THINK),
    "deepseek_r1": THINK,
    "smollm3": (*CALLS, *THINK),
    "hermes": CALLS,
    "qwen3_coder": CALLS,
}
"""Added tokens that are not special."""
ENDS = {
    "llama2": "</s>", "llama31": "<|eot_id|>", "mistral3": "</s>", "qwen25": "<|im_end|>",
    "qwen3": "<|im_end|>", "gemma": "<end_of_turn>", "gemma3": "<end_of_turn>", "phi3": "<|end|>",
    "phi4": "<|im_end|>", "deepseek_r1": "<eos>", "command": "<|END_OF_TURN_TOKEN|>",
    "smollm3": "<|im_end|>", "hermes": "<|im_end|>", "granite": "<|end_of_text|>", "nemo": "</s>",
    "phi4_mini": "<|end|>", "deepseek_v3": "<eos>", "qwen3_coder": "<|im_end|>",
    "llama_pythonic": "<|eot_id|>",
}  # fmt: skip


@cache
def published(name: str):
    """A small tokenizer with the control tokens and the template of a family."""
    tokenizer = train_tokenizer(["some words, and 1 or 2 more: {} [] \\ \" '"] * 3, 400, 512)
    tokenizer.add_tokens([AddedToken(text, special=True) for text in SPECIAL[name]])
    tokenizer.add_tokens([AddedToken(text, special=False) for text in WRITTEN.get(name, ())])
    opening = SPECIAL[name][0]
    if opening in ("<s>", "<bos>", "<|begin_of_text|>"):
        tokenizer.bos_token = opening
    tokenizer.eos_token = "<|endoftext|>" if name == "phi3" else ENDS[name]
    source = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    source = source.removesuffix("\n")
    if name == "hermes":  # as published: one template for rows with tools, one for the others
        source = {"default": TEMPLATES["chatml"].source, "tool_use": source}
    tokenizer.chat_template = source
    return tokenizer
