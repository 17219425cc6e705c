"""Chat templates by name, for a base whose tokenizer brings none or another than wanted.

A template is only as good as its control tokens: where the tokenizer does not have them, they
would be spelled in ordinary tokens, and no answer would end with one token. So they are asked for.
"""

from collections.abc import Collection
from typing import NamedTuple

from loray.errors import ModelError


class NamedTemplate(NamedTuple):
    """A template and the control tokens that it writes."""

    source: str
    control_texts: tuple[str, ...]


TEMPLATES = {
    "chatml": NamedTemplate(
        "{%- for message in messages -%}"
        "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}",
        ("<|im_start|>", "<|im_end|>"),
    ),
    "llama3": NamedTemplate(
        "{{- bos_token -}}"
        "{%- for message in messages -%}"
        "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' -}}"
        "{{- message['content'] + '<|eot_id|>' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}"
        "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}"
        "{%- endif -%}",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
}


def source_of(name: str, known_texts: Collection[str]) -> str:
    """The template `name`, for a tokenizer that has the tokens `known_texts`.

    Raises:
        ModelError: the tokenizer lacks a control token of the template.
    """
    template = TEMPLATES[name]
    missing = [text for text in template.control_texts if text not in known_texts]
    if missing:
        raise ModelError(
            f"data.chat.template: {name} writes {', '.join(missing)}, which the base model's "
            "tokenizer does not have as a token; use `base` or `plain`, or a base model that has it"
        )
    return template.source
