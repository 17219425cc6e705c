"""What would run, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loray.artifacts.manifest import Manifest, Stage
from loray.artifacts.store import Store
from loray.errors import ArtifactError
from loray.pipeline.recipe import Recipe, recipes
from loray.planner.legal import check_runnable
from loray.spec.run import RunSpec


@dataclass(frozen=True)
class StageState:
    """One stage of a plan."""

    recipe: Recipe
    is_fresh: bool
    """Its artifact is committed; `apply` will not make it again."""
    why: str
    """In words: why it is fresh, or what changed since the newest artifact of that name."""
    damage: str | None = None
    """Where it was committed and files are missing or cut since: what is wrong and what to do."""

    @property
    def stage(self) -> Stage:
        """The identity of what the stage makes."""
        return self.recipe.stage


@dataclass(frozen=True)
class Plan:
    """The stages of a spec in the order they run."""

    stages: tuple[StageState, ...]

    @property
    def is_fresh(self) -> bool:
        """Nothing would run."""
        return all(state.is_fresh for state in self.stages)


def make_plan(spec: RunSpec) -> Plan:
    """Compare what `spec` asks for with what its storage holds; starts nothing.

    Raises:
        SourceError: a source's files are missing.
        ModelError: the base model is missing, or cannot do what is asked on the device.
    """
    check_runnable(spec)
    store = Store(spec.storage.root)
    return Plan(tuple(_state(store, recipe) for recipe in recipes(spec)))


def _state(store: Store, recipe: Recipe) -> StageState:
    try:
        manifest = store.read_manifest(recipe.stage)
        if manifest is not None:
            store.check_sizes(manifest)
            return StageState(recipe, is_fresh=True, why=f"made {manifest.created}")
    except ArtifactError as error:
        return StageState(recipe, is_fresh=False, why=str(error), damage=str(error))
    others = store.committed(recipe.stage.kind, recipe.stage.name)
    why = _what_changed(others[-1], recipe) if others else "never made"
    return StageState(recipe, is_fresh=False, why=why)


def _what_changed(before: Manifest, recipe: Recipe) -> str:
    """The leaves that differ between the newest artifact's recipe and this one."""
    old = _leaves({"version": before.stage_version, **before.recipe, "inputs": before.inputs})
    new = _leaves({"version": recipe.stage_version, **recipe.blocks, "inputs": recipe.inputs})
    changed = sorted(key for key in old | new if old.get(key) != new.get(key))
    shown = [f"{key}: {_short(old.get(key))} -> {_short(new.get(key))}" for key in changed[:3]]
    more = f", and {len(changed) - 3} more" if len(changed) > 3 else ""
    return "changed " + ", ".join(shown) + more


def _leaves(value: object, path: str = "") -> dict[str, Any]:
    """Every scalar of nested mappings and lists, by its dotted path."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {path: value}
    found: dict[str, Any] = {}
    for key, item in items:
        found |= _leaves(item, f"{path}.{key}" if path else key)
    return found


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:12]}..."
