"""What `method.targets` means over a base model; needs no torch."""

from collections.abc import Iterable
from difflib import get_close_matches

from loray.errors import UnsupportedError
from loray.spec.train import LoraMethod


def target_names(
    method: LoraMethod, attention: Iterable[str], mlp: Iterable[str]
) -> tuple[str, ...]:
    """The projections that get an adapter, by the last part of their names, sorted.

    Args:
        attention: names of the linear layers of the base's attention.
        mlp: the same of all else in a decoder layer.

    Raises:
        UnsupportedError: the base has no linear layer of a name.
    """
    every = (*attention, *mlp)
    match method.targets:
        case "all-linear":
            names: Iterable[str] = every
        case "attention":
            names = attention
        case "mlp":
            names = mlp
        case _:
            names = method.targets
    if not tuple(names):
        raise UnsupportedError(
            f"method.targets is {method.targets}, and no linear layer of the base model is one of "
            f"these; it has {', '.join(every)}; name some of them, or use another base model"
        )
    for name in names:
        if name not in every:
            near = get_close_matches(name, every, n=1)
            raise UnsupportedError(
                f"method.targets names {name!r}, which no linear layer of the base model is "
                f"called; {f'did you mean {near[0]}? ' if near else ''}it has {', '.join(every)}; "
                "correct it, or use all-linear"
            )
    return tuple(sorted(set(names)))
