"""The text of a first spec: the starter with the values of a spec filled in, and their reasons."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from loray.spec.run import RunSpec
from loray.spec.yaml12 import flow_mapping, written

if TYPE_CHECKING:
    from loray.spec.evaluate import GateSpec
    from loray.spec.sources import Source

STARTER = "starter.yaml"
COLUMNS = 96
_PLACEHOLDER = re.compile(r"@([a-z_]+)@")
MEANT = {
    "base_model": "These two fit a CPU. On a GPU: dtype bfloat16, and quantization nf4 or none",
    "data.sequence.max_tokens": "At most what the base has positions for",
    "train.steps": "Optimizer steps; the data is passed over as often as they need",
}
"""What is said of a value where nothing was counted."""


def starter_text(spec: RunSpec, why: Mapping[str, str], comments: Sequence[Sequence[str]]) -> str:
    """The spec as YAML.

    Args:
        why: reasons by the path of the field.
        comments: lines to put beside each source.
    """
    template = files("loray.cli").joinpath(STARTER).read_text(encoding="utf-8")
    values = _values(spec, {**MEANT, **{name: text for name, text in why.items() if text}})
    sources = zip(spec.data.sources, comments, strict=True)
    values["sources"] = "\n".join(line for one in sources for line in _source(*one))
    text = _PLACEHOLDER.sub(lambda found: values[found[1]], template)
    return "\n".join(line for long in text.splitlines() for line in _folded(long)) + "\n"


def _values(spec: RunSpec, why: Mapping[str, str]) -> dict[str, str]:
    base, data, train, serve = spec.base_model, spec.data, spec.train, spec.serve
    assert spec.method.kind == "lora"  # noqa: S101 - as `pipeline.first_spec` makes it
    revision = f"\n  revision: {written(base.revision)}" if base.revision else ""
    split_why = f" ({why['data.split']})" if "data.split" in why else ""
    chat_why = f"  # {_sentence(why.get('data.chat', ''))}.\n"
    again = "  gradient_checkpointing: true\n" if train.gradient_checkpointing else ""
    strategy = train.strategy.model_dump(mode="json", exclude_defaults=True)
    return {
        "name": spec.name,
        "seed": str(spec.seed),
        "base": written(base.path) + revision,
        "base_why": _sentence(why["base_model"]),
        "dtype": base.dtype,
        "quantization": base.quantization,
        "steps": "\n".join(f"    - kind: {step.kind}" for step in data.steps),
        "split_why": split_why,
        "validation": f"{data.split.validation:g}",
        "test": f"{data.split.test:g}",
        "chat": "" if data.chat.template == "base" else f"{chat_why}  chat: {{template: plain}}\n",
        "sequence_why": _sentence(why["data.sequence.max_tokens"]),
        "max_tokens": str(data.sequence.max_tokens),
        "rank": str(spec.method.rank),
        "alpha": str(spec.method.alpha),
        "steps_why": _sentence(why["train.steps"]),
        "num_steps": str(train.steps),
        "strategy": _flow({"kind": train.strategy.kind} | strategy),
        "rate_why": f" {why['train.optimizer']}" if "train.optimizer" in why else "",
        "rate": f"{train.optimizer.learning_rate:g}",
        "warmup": str(train.schedule.warmup_steps),
        "global_size": str(train.batch.global_size),
        "micro_size": str(train.batch.micro_size),
        "again": again,
        "checkpoint_every": str(train.checkpoint_every),
        "metrics": ", ".join(spec.evaluate.metrics),
        "max_rows": str(spec.evaluate.max_rows),
        "max_answer": str(spec.evaluate.max_new_tokens),
        "gates": "\n".join(f"  - {_gate(gate)}" for gate in spec.gates),
        "max_context": str(serve.max_context),
        "max_new_tokens": str(serve.max_new_tokens),
        "workers": str(spec.resources.workers),
        "cpus": str(spec.resources.cpus_per_worker),
        "gpus": str(spec.resources.gpus_per_worker),
    }


def _source(source: "Source", comments: Sequence[str]) -> Iterator[str]:
    """The lines of a source."""
    yield f"    - kind: {source.kind}"
    yield "      # A file, a folder or a glob, also .gz, also s3://bucket/key."
    yield f"      uri: {written(source.uri)}"
    yield from (f"      # {harmless_comment(comment)}" for comment in comments)
    if source.kind == "text":
        yield f"      per: {source.per}"
        yield f"      group: {source.group}"
        return
    if source.kind == "csv" and source.delimiter != ",":
        yield f"      delimiter: {json.dumps(source.delimiter)}"
    yield "      # Which column is what. Instead of the pair: `messages:` for chats, `text:` for"
    yield '      # raw text. Several columns: prompt: "{instruction}{?\\n\\n{input}}"'
    fields = source.fields.model_dump(mode="json", exclude_defaults=True)
    yield f"      fields: {flow_mapping(fields)}"


def _gate(gate: "GateSpec") -> str:
    return _flow(gate.model_dump(mode="json", exclude_none=True, exclude_defaults=True))


def _flow(values: Mapping[str, Any]) -> str:
    return f"{{{', '.join(f'{key}: {value}' for key, value in values.items())}}}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def harmless_comment(text: str) -> str:
    """A text that stays within its comment."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _folded(line: str) -> Iterator[str]:
    """A long comment over several lines."""
    bare = line.lstrip()
    if len(line) <= COLUMNS or not bare.startswith("# "):
        yield line
        return
    indent = f"{line[: len(line) - len(bare)]}# "
    yield from textwrap.wrap(
        bare[2:], COLUMNS, initial_indent=indent, subsequent_indent=indent, break_long_words=False
    )
