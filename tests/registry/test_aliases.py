from pathlib import Path
from typing import Any

import pytest

from loray.errors import AdapterNotFoundError, AliasMovedError, RegistryError
from loray.registry import Registry
from tests.registry.versions import promotable, register


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        (("evaluated", "promotable", "withdrawn"), ("registered", "evaluated", "promotable")),
        (("evaluated", "rejected"), ("evaluated", "promotable")),
        (("rejected", "withdrawn"), ("rejected",)),
        (("evaluated", "promotable"), ("registered", "evaluated", "rejected")),
        ((), ("promotable",)),
    ],
)
def test_states_only_go_forward(
    registry: Registry, path: tuple[Any, ...], refused: tuple[Any, ...]
) -> None:
    version = register(registry)
    for state in path:
        assert registry.set_state(version, state, reason="because").state == state
        assert registry.set_state(version, state).state == state
    for state in refused:
        with pytest.raises(RegistryError, match="cannot become"):
            registry.set_state(version, state)
    events = [e for e in registry.events("bot") if e.kind == "state"]
    assert tuple(e.to_state for e in events) == path
    assert all(e.reason == "because" and e.who and e.at for e in events)


def test_row_27_promotion_without_evaluation_or_gates_is_refused_with_what_is_missing(
    registry: Registry,
) -> None:
    version = register(registry)
    with pytest.raises(RegistryError, match=r"is registered.*evaluate it first"):
        registry.promote(version)
    registry.set_state(version, "evaluated")
    with pytest.raises(RegistryError, match=r"is evaluated.*pass its gates"):
        registry.promote(version, "canary")
    with pytest.raises(RegistryError, match="champion takes promotable versions only"):
        registry.move_alias("bot", "champion", 1, expected_generation=0)
    registry.set_state(version, "withdrawn")
    with pytest.raises(RegistryError, match="is withdrawn"):
        registry.promote(version)
    with pytest.raises(RegistryError, match="is withdrawn"):
        registry.move_alias("bot", "latest", 1, expected_generation=0)
    assert registry.alias("bot", "champion").generation == 0


def test_row_27_of_two_promotions_from_one_generation_the_second_is_told_who_won(
    url: str, tmp_path: Path
) -> None:
    registry = Registry(url, str(tmp_path / "root"))
    first, second = promotable(registry), promotable(registry, seed=1)
    seen = registry.alias("bot", "champion")
    registry.promote(second, expected_generation=seen.generation)
    with pytest.raises(AliasMovedError, match="generation 1 and names bot@2"):
        registry.promote(first, expected_generation=seen.generation)
    assert registry.resolve("bot") == second


def test_a_removed_alias_does_not_come_back_at_an_old_generation(registry: Registry) -> None:
    register(registry)
    registry.move_alias("bot", "canary", 1, expected_generation=0)
    registry.move_alias("bot", "canary", None, expected_generation=1)
    with pytest.raises(AdapterNotFoundError):
        registry.resolve("bot@canary")
    with pytest.raises(AliasMovedError, match="names no version"):
        registry.move_alias("bot", "canary", 1, expected_generation=0)
    assert registry.adapters()[0].aliases == {}
    assert registry.move_alias("bot", "canary", 1, expected_generation=2).generation == 3


def test_an_aliased_version_cannot_go_out_of_use(url: str, tmp_path: Path) -> None:
    registry = Registry(url, str(tmp_path / "root"))
    version = register(registry)
    registry.move_alias("bot", "canary", 1, expected_generation=0)
    for state in ("rejected", "withdrawn"):
        with pytest.raises(RegistryError, match="bot@canary names; move the alias"):
            registry.set_state(version, state)  # type: ignore[arg-type]
    registry.move_alias("bot", "canary", None, expected_generation=1)
    registry.set_state(version, "withdrawn")
    with pytest.raises(RegistryError, match="was withdrawn"):
        registry.fetch(version)
    with pytest.raises(RegistryError, match="was withdrawn"):
        registry.export("bot@1", tmp_path / "out")


def test_rollback_returns_step_by_step_and_never_to_what_it_fled(registry: Registry) -> None:
    versions = [promotable(registry, seed=seed) for seed in range(4)]
    for version in versions:
        registry.promote(version, reason="ship it")
    assert registry.rollback("bot", reason="it rambles", who="ann").version == 3
    registry.set_state(versions[1], "withdrawn")
    assert registry.rollback("bot").version == 1
    with pytest.raises(RegistryError, match="promote a version instead"):
        registry.rollback("bot")
    registry.promote(versions[3])
    assert registry.rollback("bot").version == 1
    last = next(e for e in registry.events("bot") if e.kind == "rollback")
    assert (last.from_version, last.to_version, last.who) == (4, 3, "ann")
    assert last.reason == "it rambles"


def test_a_rollback_of_no_adapter_says_so(registry: Registry) -> None:
    promotable(registry)
    with pytest.raises(AdapterNotFoundError, match="nobody is not in the registry"):
        registry.rollback("nobody")
