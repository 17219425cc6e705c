"""What a base model and a device cannot do together, told before anything starts."""

from loray.errors import ModelError
from loray.planner.parameters import (
    Architecture,
    config_path,
    module_name,
    read_architecture,
)
from loray.planner.stages import parts_of
from loray.spec.run import RunSpec
from loray.spec.train import NF4_BLOCK, BaseModelSpec, LoraMethod


def check_runnable(spec: RunSpec) -> None:
    """Refuse a spec that would start and then compute something else than it says.

    Nothing is said of a base model that is not on this disk, or of a kind that is not known.

    Raises:
        ModelError: what does not go together, and the nearest spec that does.
    """
    if not config_path(spec.base_model).is_file():
        return
    try:
        shape = read_architecture(spec.base_model)
    except ModelError:
        return
    parts_of(spec, shape)  # refuses more stages than layers
    if spec.method.kind == "lora":
        _check_patterns(spec.method, shape)
        _check_principal(spec.method, shape)
    if spec.base_model.quantization == "nf4" and not spec.resources.gpus_per_worker:
        _check_blocks(spec.base_model, shape)


def _check_patterns(method: LoraMethod, shape: Architecture) -> None:
    names = [
        f".{module_name(layer, name)}"
        for layer in shape.layer_numbers
        for name in method.target_modules
    ]
    for pattern in method.patterns:
        if not any(name.endswith(f".{pattern.modules}") for name in names):
            raise ModelError(
                f"method.patterns has {pattern.modules!r}, which no module of the base model ends "
                f"with; wanted the end of a name such as {names[0][1:]} (its layers are 0 to "
                f"{shape.layers - 1}); correct it or drop it"
            )


def _check_principal(method: LoraMethod, shape: Architecture) -> None:
    if method.init != "pissa":
        return
    for layer in shape.layer_numbers:
        for name in method.target_modules:
            module, most = module_name(layer, name), min(shape.linear_shapes[name])
            if method.rank_of(module) > most:
                raise ModelError(
                    f"method.init is pissa and {module} has rank {method.rank_of(module)}, but "
                    f"only {most} singular values; use a rank of at most {most}, or another init"
                )


def _check_blocks(model: BaseModelSpec, shape: Architecture) -> None:
    if odd := split_blocks(shape):
        name, inputs = odd[0]
        raise ModelError(
            f"base_model.quantization is nf4, and {name} of {model.path} has {inputs} "
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
