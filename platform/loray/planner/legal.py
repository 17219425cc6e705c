"""What a base model and a device cannot do together, told before anything starts."""

from pathlib import Path

from loray.errors import AdapterError, ModelError, UnsupportedError
from loray.models.adapter_begin import check_beginning
from loray.models.support import fixed_positions
from loray.planner.architecture import Architecture
from loray.planner.configs import config_path, read_config
from loray.planner.families import architecture_for
from loray.planner.parameters import biases_of, targets_of
from loray.planner.stages import split_layers
from loray.spec.run import RunSpec
from loray.spec.train import NF4_BLOCK, BaseModelSpec, LoraMethod


def check_runnable(spec: RunSpec) -> None:
    """Refuse a spec that would start and then compute something else than it says.

    Nothing is said of a base model that is neither on this disk nor among the known families. What
    is on this disk is refused if it is of a kind that `loray.models.support` is against.

    Raises:
        UnsupportedError: what does not go together, and the nearest spec that does.
    """
    try:
        shape = architecture_for(spec.base_model)
    except ModelError:
        if config_path(spec.base_model).is_file():
            raise
        return
    _check_positions(spec)
    if spec.train.strategy.kind == "pipeline":
        _check_stages(shape)
        split_layers(shape.layers, spec.resources.workers)  # refuses more stages than layers
    if spec.method.kind == "lora":
        _check_patterns(spec.method, shape)
        _check_biases(spec.method, shape)
        _check_modules(spec.method, shape)
        _check_principal(spec.method, shape)
        _check_beginning(spec.method, shape)
    if spec.base_model.quantization == "nf4" and not spec.resources.gpus_per_worker:
        _check_blocks(spec.base_model, shape)


def _check_stages(shape: Architecture) -> None:
    if shape.listed is not None:
        raise UnsupportedError(
            "train.strategy.kind is pipeline, but the base model's type is not in the tested list, "
            "and may do something between its layers that a stage would leave out; use "
            "strategy: {kind: fsdp} or {kind: deepspeed, zero_stage: 3}"
        )


def _check_positions(spec: RunSpec) -> None:
    """Where positions depend on the longest row of a batch, what is learned would, too."""
    path = config_path(spec.base_model)
    most = fixed_positions(read_config(path)) if path.is_file() else None
    asked = {
        "data.sequence.max_tokens": spec.data.sequence.max_tokens,
        "serve.max_context": spec.serve.max_context,
    }
    for field, tokens in asked.items():
        if most is not None and tokens > most:
            raise UnsupportedError(
                f"{field} is {tokens}, but beyond {most} tokens the rotary embeddings of "
                f"{spec.base_model.path} depend on the longest row of a batch, so that a row would "
                f"be computed otherwise beside another one; use at most {most}"
            )


def _check_patterns(method: LoraMethod, shape: Architecture) -> None:
    names = [
        f".{shape.module_name(layer, name)}"
        for layer in shape.layer_numbers
        for name in targets_of(shape, method)
    ]
    for pattern in method.patterns:
        if not any(name.endswith(f".{pattern.modules}") for name in names):
            raise UnsupportedError(
                f"method.patterns has {pattern.modules!r}, which no module of the base model ends "
                f"with; wanted the end of a name such as {names[0][1:]} (its layers are 0 to "
                f"{shape.layers - 1}); correct it or drop it"
            )


def _check_biases(method: LoraMethod, shape: Architecture) -> None:
    if method.biases == "none" or biases_of(shape, method):
        return
    has = f"one in {', '.join(shape.biased)}" if shape.biased else "none"
    instead = "name these as method.targets, or use " if shape.biased else "use "
    raise UnsupportedError(
        f"method.biases is {method.biases}, but the base model has no bias there (it has {has}); "
        f"{instead}biases: none"
    )


def _check_modules(method: LoraMethod, shape: Architecture) -> None:
    if method.modules_to_save and shape.is_tied:
        raise UnsupportedError(
            f"method.modules_to_save is {', '.join(method.modules_to_save)}, but in the base model "
            "embedding and output projection are one matrix (tie_word_embeddings), and a merged "
            "model could not keep them apart; drop it, or use a base that does not tie them"
        )


def _check_principal(method: LoraMethod, shape: Architecture) -> None:
    """PiSSA begins with singular values of the weight, EVA with directions of its inputs."""
    if method.init not in ("pissa", "eva"):
        return
    for layer in shape.layer_numbers:
        for name in targets_of(shape, method):
            module, (inputs, outputs) = shape.module_name(layer, name), shape.linear_shapes[name]
            most, of = min(inputs, outputs), "singular values"
            if method.init == "eva":
                most, of = inputs, "inputs"
            if method.rank_of(module) > most:
                raise UnsupportedError(
                    f"method.init is {method.init} and {module} has rank {method.rank_of(module)}, "
                    f"but only {most} {of}; use a rank of at most {most}, or another init"
                )


def _check_beginning(method: LoraMethod, shape: Architecture) -> None:
    """Of an adapter that is not on this disk nothing is said."""
    folder = Path(method.begin_from or "")
    if method.begin_from is None or not folder.is_dir():
        return
    linears = shape.linear_shapes
    targets = {
        shape.module_name(layer, name): linears[name]
        for layer in shape.layer_numbers
        for name in targets_of(shape, method)
    }
    try:
        check_beginning(folder, method, targets)
    except AdapterError as error:
        raise UnsupportedError(f"method.begin_from: {error}") from error


def _check_blocks(model: BaseModelSpec, shape: Architecture) -> None:
    if odd := split_blocks(shape):
        name, inputs = odd[0]
        raise UnsupportedError(
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
