"""What a base model and a device cannot do together, told before anything starts."""

from loray.errors import ModelError
from loray.planner.parameters import Architecture, config_path, read_architecture
from loray.spec.run import RunSpec
from loray.spec.train import NF4_BLOCK


def check_runnable(spec: RunSpec) -> None:
    """Refuse a spec that would start and then compute something else than it says.

    Nothing is said of a base model that is not on this disk, or of a kind that is not known.

    Raises:
        ModelError: what does not go together, and the nearest spec that does.
    """
    if spec.base_model.quantization != "nf4" or spec.resources.gpus_per_worker:
        return
    if not config_path(spec.base_model).is_file():
        return
    try:
        shape = read_architecture(spec.base_model)
    except ModelError:
        return
    if odd := split_blocks(shape):
        name, inputs = odd[0]
        raise ModelError(
            f"base_model.quantization is nf4, and {name} of {spec.base_model.path} has {inputs} "
            f"inputs; on a CPU bitsandbytes misreads rows that are no multiple of {NF4_BLOCK}; "
            "use quantization: none, or resources.gpus_per_worker: 1"
        )


def split_blocks(shape: Architecture) -> list[tuple[str, int]]:
    """Projections, with their inputs, in which a block of NF4 weights spans two rows.

    The AVX-512 kernel of bitsandbytes 0.50 takes the scale of the wrong block there: measured
    error 0.25 to 0.40 of the weights' norm instead of 0.09, with no warning.
    """
    linears = shape.linear_shapes.items()
    return [(name, inputs) for name, (inputs, _) in linears if inputs % NF4_BLOCK]
