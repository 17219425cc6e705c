"""What the backward pass of a decoder reads, counted tensor by tensor.

Counted as autograd keeps it for transformers 5 with `sdpa` attention and PEFT's LoRA layers; a test
compares it with what autograd does keep (`tests/planner/test_activations.py`). What need not learn
keeps nothing of its input, so the count follows from the method and its targets.

Legend: `h` hidden size, `q` heads x head size, `k` the same for keys, `f` intermediate size,
`w` bytes of a number in the type of computation.
"""

from loray.planner.architecture import Architecture
from loray.planner.loss import loss_bytes
from loray.planner.parameters import targets_of
from loray.planner.widths import WIDTH, tokens_per_pass
from loray.spec.run import RunSpec
from loray.spec.train import LoraMethod


def activation_bytes(spec: RunSpec, shape: Architecture, in_flight: int = 1) -> float:
    """What a micro-batch of full sequences takes at its peak, every token a target.

    That is where the loss begins to go back: every layer's activations and the loss's own.
    Recomputing keeps the layers' inputs only, and then one layer at a time whole, after the loss.

    Args:
        in_flight: micro-batches of which a stage of a pipeline keeps the layers' at once.
    """
    width, tokens = WIDTH[spec.base_model.dtype], tokens_per_pass(spec)
    loss = loss_bytes(spec, shape, in_flight)
    last_norm = 4 * shape.hidden if shape.has_head else 0
    layer = kept_by_layer(spec, shape)
    if not spec.train.gradient_checkpointing:
        return tokens * (in_flight * shape.layers * layer + last_norm) + loss
    inputs = in_flight * shape.layers * shape.hidden * width
    gradients = 3 * shape.intermediate * width  # of gate, up and their product
    return tokens * (inputs + last_norm) + max(loss, tokens * (layer + gradients))


def kept_by_layer(spec: RunSpec, shape: Architecture) -> float:
    """Bytes that one decoder layer keeps of a token; of the widest, where ranks differ."""
    width = WIDTH[spec.base_model.dtype]
    return (
        _of_norms(spec, shape)
        + _of_attention(spec, shape)
        + 3 * shape.intermediate * width  # gate, its activation, up
        + (_of_adapter(spec.method, spec, shape) if spec.method.kind == "lora" else 0)
        + width * sum(_inputs_that_are_read(spec, shape))
    )


def _of_norms(spec: RunSpec, shape: Architecture) -> int:
    """Each norm's input in float32 and its deviation; what it scales, where its weight learns.

    One that takes the mean away keeps what is left of the input, as it was and to be squared.
    """
    sizes, counts = [shape.hidden] * shape.layer_norms, shape.layer_norms
    if shape.head_norms != "none":
        sizes += [shape.query_size, shape.key_size]
        counts += shape.heads + shape.kv_heads if shape.head_norms == "shared" else 2
    copies = 2 if shape.norm_kind == "layer" else 1
    wide = WIDTH[spec.base_model.dtype] if shape.norm_kind == "rms" else 4
    scaled = wide if spec.method.kind == "full" else 0
    return sum(sizes) * (4 * copies + scaled) + 4 * counts


def _of_attention(spec: RunSpec, shape: Architecture) -> int:
    """Queries, keys, values, the output, and the float32 sum of each head's row.

    With packing, or beyond a window, there is a mask (a row of it for each token), and sdpa then
    takes keys and values once for every head. Values that are a part of one fused output keep all
    of it, unless they are copied so. Without sdpa every head keeps each token's scores of all
    others: once capped, once as float32 shares, and as those in the type of computation.
    """
    width, query = WIDTH[spec.base_model.dtype], shape.query_size
    tokens = spec.data.sequence.max_tokens
    if shape.is_eager:
        scores = tokens * (width + 4 + (width if width != 4 else 0))
        return width * 3 * query + shape.heads * scores
    is_masked = spec.data.sequence.packing or (shape.window is not None and tokens > shape.window)
    is_copied = is_masked and shape.kv_heads < shape.heads
    key = query if is_masked else shape.key_size
    value = query + 2 * shape.key_size if shape.is_fused and not is_copied else key
    mask = tokens if is_masked else 0
    return width * (2 * query + key + value + mask) + 4 * shape.heads


def _of_adapter(method: LoraMethod, spec: RunSpec, shape: Architecture) -> int:
    """What A gives B, and with dropout its own copy of the input and the mask."""
    width, total = WIDTH[spec.base_model.dtype], 0
    mask = 1 if spec.resources.gpus_per_worker else width  # a byte in the fused kernel
    for name in targets_of(shape, method):
        rank = max(method.rank_of(shape.module_name(layer, name)) for layer in shape.layer_numbers)
        dropped = shape.linear_shapes[name][0] * (width + mask) if method.dropout else 0
        total += rank * width + dropped
    return total


def _inputs_that_are_read(spec: RunSpec, shape: Architecture) -> list[int]:
    """Sizes of the inputs that something which learns is multiplied with.

    Projections with the same input share it; that of o_proj is the attention's output, which sdpa
    keeps anyway, but of fused projections as a copy in another order. Under ZeRO 3 DeepSpeed's own
    product keeps the input of every weight, but not of 4-bit ones.
    """
    method, strategy = spec.method, spec.train.strategy
    is_zero_3 = strategy.kind == "deepspeed" and spec.train.shares_weights
    if method.kind == "full" or (is_zero_3 and spec.base_model.quantization == "none"):
        names = set(shape.linear_shapes)
    else:
        names = set() if method.dropout else set(targets_of(shape, method))  # A reads a copy
    found = []
    of_attention = names & set(shape.attention_shapes) - {"o_proj"}
    of_mlp = names & set(shape.mlp_shapes) - {"down_proj"}
    if of_attention or (shape.is_parallel and of_mlp):
        found.append(shape.hidden)
    if of_mlp and not shape.is_parallel:
        found.append(shape.hidden)
    if "o_proj" in names and (shape.is_fused or shape.is_eager):
        found.append(shape.query_size)
    if "down_proj" in names:
        found.append(shape.intermediate)
    return found
