"""What a worker's device and its host hold while the base model is loaded.

Where every worker holds all weights, transformers maps the files. Where weights are shared out
(ZeRO 3, FSDP2), a worker reads one part after another, a decoder layer or what is outside of the
layers, and keeps its share before it reads the next; a stage of a pipeline reads its own layers.
`docs/measurements/memory.md` has all three measured.
"""

from loray.planner.architecture import Architecture
from loray.planner.forms import count_begun
from loray.planner.memory import (
    GIB,
    MASTER_BYTES,
    NF4_BITS,
    RESERVE_BYTES,
    Sizes,
    largest_projection,
    weight_bytes,
)
from loray.planner.parameters import adapter_parts, count_base
from loray.planner.sharing import offloaded, shared_bytes
from loray.planner.stages import parts_of
from loray.planner.widths import WIDTH
from loray.spec.run import RunSpec

STORED_WIDTH = {"float32": 4, "float16": 2, "bfloat16": 2}
HOST_RESERVE = 2.0 * GIB
"""Python with torch's CUDA libraries, Ray and pinned buffers; an estimate, not measured."""
NORM_BYTES = 8
"""A weight as the vitals take its norm, float64."""


def loading_sizes(spec: RunSpec, shape: Architecture) -> tuple[Sizes, Sizes]:
    """What the device holds, and what its host does; without a GPU the second is empty."""
    if spec.reads_by_parts:
        return _by_parts(spec, shape)
    return _whole(spec, shape)


def _whole(spec: RunSpec, shape: Architecture) -> tuple[Sizes, Sizes]:
    """The weights as they will stay, and what they are made from.

    Files are mapped, not read: weights that stay on a CPU as they are stored are the files' pages.
    A GPU gets one tensor after another.
    """
    model = spec.base_model
    weights = weight_bytes(model, shape)
    adapter = _adapter_bytes(spec, shape)
    if spec.resources.gpus_per_worker:
        buffers = float(_largest(shape) * WIDTH[model.dtype])
        on_device = {
            "weights": weights,
            "adapter": adapter,
            "buffers": buffers,
            "reserve": RESERVE_BYTES["gpu"],
        }
        return on_device, {"mapped files": file_bytes(shape), "reserve": HOST_RESERVE}
    stays = model.quantization == "none" and model.dtype == shape.stored_type
    files = 0.0 if stays else file_bytes(shape)
    return {"weights": weights, "files": files, "reserve": RESERVE_BYTES["cpu"]}, {}


def _by_parts(spec: RunSpec, shape: Architecture) -> tuple[Sizes, Sizes]:
    """A share of every part, the largest part in full, and a weight of it on its way there.

    Adapters are there in full before anything is shared out. A stage reads what it keeps, and
    with PiSSA the others' layers as well, one after another.
    """
    layer, outside = _part_bytes(spec, shape)
    share = shared_bytes(shape.layers * layer + outside, spec, shape)
    part = max(layer, outside)
    if spec.train.strategy.kind == "pipeline":
        share = max(weight_bytes(spec.base_model, p.shape) for p in parts_of(spec, shape))
        part = layer if spec.begins_with_principal else 0.0
    on_gpu = bool(spec.resources.gpus_per_worker)
    device = {
        "weights": share,
        "adapter": _adapter_bytes(spec, shape),
        "part": part,
        "buffers": max(_read_bytes(spec, shape, on_gpu=on_gpu), _norm_bytes(spec, shape)),
        "reserve": RESERVE_BYTES["gpu" if on_gpu else "cpu"],
    }
    if not on_gpu:
        return device, {}
    host = {"buffers": float(_largest(shape) * _stored_width(shape)), "reserve": HOST_RESERVE}
    if "parameters" in offloaded(spec):
        host["parameters"], device["weights"] = share, 0.0
    return device, host


def file_bytes(shape: Architecture) -> float:
    """The base model's weights on disk."""
    return float(count_base(shape).total * _stored_width(shape))


def _part_bytes(spec: RunSpec, shape: Architecture) -> tuple[float, float]:
    """A decoder layer; all that is outside of the layers, the layers' norms and biases with it.

    FSDP2 makes what learns float32 before it cuts it up.
    """
    count, width = count_base(shape), WIDTH[spec.base_model.dtype]
    if spec.method.kind == "full" and spec.train.strategy.kind == "fsdp":
        width = MASTER_BYTES
    bits = NF4_BITS if spec.base_model.quantization == "nf4" else 8 * width
    return count.linear * bits / 8 / shape.layers, float(count.other * width)


def _adapter_bytes(spec: RunSpec, shape: Architecture) -> float:
    """What PEFT puts on the base: in its type, but factors on 4-bit weights in float32.

    FSDP2 makes float32 of what learns in full before it cuts it up.
    """
    if spec.method.kind == "full":
        return 0.0
    parts, width = adapter_parts(shape, spec.method), WIDTH[spec.base_model.dtype]
    is_packed, is_wide = spec.base_model.quantization == "nf4", spec.train.strategy.kind == "fsdp"
    factors = parts.factors + parts.magnitudes + count_begun(spec, shape)
    in_full = parts.in_full * (MASTER_BYTES if is_wide else width)
    return float(factors * (MASTER_BYTES if is_packed else width) + in_full)


def _read_bytes(spec: RunSpec, shape: Architecture, *, on_gpu: bool) -> float:
    """The largest weight beside its place: as it is stored, and as it is before it is packed."""
    model = spec.base_model
    width, stored = WIDTH[model.dtype], 0 if on_gpu else _stored_width(shape)
    is_cast = model.dtype != shape.stored_type
    plain = float(_largest(shape) * stored) if is_cast else 0.0
    if model.quantization == "none":
        return plain
    return max(plain, float(largest_projection(shape) * (stored + (width if is_cast else 0))))


def _norm_bytes(spec: RunSpec, shape: Architecture) -> float:
    """The largest projection in float64, unpacked before, while the vitals take its norm."""
    if spec.method.kind == "full":
        return 0.0
    is_packed = spec.base_model.quantization == "nf4"
    width = WIDTH[spec.base_model.dtype] if is_packed else 0
    return float(largest_projection(shape) * (NORM_BYTES + width))


def _largest(shape: Architecture) -> int:
    """Numbers in the largest weight."""
    return max(largest_projection(shape), shape.vocabulary * shape.hidden)


def _stored_width(shape: Architecture) -> int:
    return STORED_WIDTH.get(shape.stored_type, 4)
