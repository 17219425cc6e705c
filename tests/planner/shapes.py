"""Shapes and specs that several tests of the planner use."""

from loray.planner.architecture import Architecture
from loray.spec.load import parse_run_spec
from loray.spec.run import RunSpec


def shape(
    hidden: int, kv: int, ff: int, layers: int, vocab: int = 32000, *, is_tied: bool = False
) -> Architecture:
    """An architecture with heads of 128 (64 where that does not divide)."""
    size = 128 if kv % 128 == 0 and hidden % 128 == 0 else 64
    return Architecture(
        hidden=hidden,
        intermediate=ff,
        layers=layers,
        heads=hidden // size,
        kv_heads=kv // size,
        head_size=size,
        vocabulary=vocab,
        is_tied=is_tied,
    )


SHAPES = {
    "gpt3-175b": shape(12288, 12288, 49152, 96),
    "llama-1-7b": shape(4096, 4096, 11008, 32),
    "llama-1-33b": shape(6656, 6656, 17920, 60),
    "llama-2-7b": shape(4096, 4096, 11008, 32),
    "llama-2-13b": shape(5120, 5120, 13824, 40),
    "llama-2-70b": shape(8192, 1024, 28672, 80),
    "codellama-34b": shape(8192, 1024, 22016, 48),
    "llama-3-8b": shape(4096, 1024, 14336, 32, 128256),
    "llama-3.2-3b": shape(3072, 1024, 8192, 28, 128256, is_tied=True),
    "tinyllama-1.1b": shape(2048, 256, 5632, 22),
    "phi-1.5": shape(2048, 2048, 8192, 24, 51200),
    "falcon-40b": shape(8192, 512, 32768, 60, 65024),
}
"""Of GPT-3, Phi and Falcon only what q and v are made from: their MLPs have no gate."""

BASE = (
    "name: x\nbase_model: {path: x}\ntrain: {steps: 1}\n"
    "data: {sources: [{kind: jsonl, uri: x, fields: {text: t}}]}\n"
)


def spec(text: str = "", **settings: object) -> RunSpec:
    """A spec with the given overrides, written as `train__batch__micro_size=4`."""
    overrides = [f"{name.replace('__', '.')}={_text(value)}" for name, value in settings.items()]
    return parse_run_spec(BASE + text, overrides=overrides)


def _text(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
