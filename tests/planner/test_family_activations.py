"""The activations that the planner counts of every family against those that autograd keeps."""

import pytest

from loray.planner.activations import kept_by_layer
from loray.planner.configs import architecture_of
from tests.families import FAMILIES, ONE_EACH, config_of
from tests.planner.shapes import spec
from tests.planner.test_activations import METHODS, TOKENS, kept_by

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # PEFT uses an old name
CASES = (
    ("float32", "all", True),
    ("float32", "attention", False),
    ("float32", "mlp", True),
    ("bfloat16", "full", True),
    ("bfloat16", "full", False),
    ("bfloat16", "mlp", False),
)
BY_LAYER = {"layer_types": "sliding_attention", "no_rope_layers": 0}


def of_layers(name: str, layers: int):
    """A config of so many layers, all of the kind that keeps most."""
    own = FAMILIES[name][1]
    alike = {key: [kind] * layers for key, kind in BY_LAYER.items() if key in own}
    return config_of(name, num_hidden_layers=layers, **alike)


@pytest.mark.parametrize("name", [*ONE_EACH, "mistral, window", "smollm3, windows", "phi3, window"])
def test_a_layer_keeps_what_is_counted_but_for_copies_of_its_norms(name: str) -> None:
    few, more = (of_layers(name, layers) for layers in (2, 3))
    shape = architecture_of(more.to_dict())
    copies = 0 if shape.norm_kind == "rms" else 4 * shape.norm_weights
    for dtype, method, packing in CASES:
        run = spec(
            method=METHODS[method],
            base_model__dtype=dtype,
            base_model__quantization="none",
            data__sequence__max_tokens=TOKENS,
            data__sequence__packing=packing,
        )
        found = kept_by(run, more) - kept_by(run, few)
        left = found - TOKENS * kept_by_layer(run, shape)
        assert 0 <= left <= copies, (dtype, method, packing)
