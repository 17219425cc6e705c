"""LoRA on Ray: one YAML spec takes a corpus to a served adapter.

The verbs of the command line, for a notebook:

    spec = loray.load_spec("my-bot.yaml", ["train.steps=50"])
    loray.make_plan(spec).stages       what would run, and why
    loray.forecast(spec)               parameters, memory, tokens
    outcome = loray.apply(spec)        run what is stale
    loray.Registry(spec.storage.registry, spec.storage.root).versions(spec.name)

Each is imported when it is first used, so that `import loray` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loray.pipeline.apply import apply
    from loray.pipeline.plan import make_plan
    from loray.planner.report import forecast
    from loray.registry import Registry
    from loray.spec.load import load_checked as load_spec

__version__ = "0.1.0"
__all__ = ["Registry", "apply", "forecast", "load_spec", "make_plan"]

_HOMES = {
    "Registry": "loray.registry:Registry",
    "apply": "loray.pipeline.apply:apply",
    "forecast": "loray.planner.report:forecast",
    "load_spec": "loray.spec.load:load_checked",
    "make_plan": "loray.pipeline.plan:make_plan",
}


def __getattr__(name: str) -> object:
    """Import a verb from where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module 'loray' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
