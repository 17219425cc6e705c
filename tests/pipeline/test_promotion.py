"""An alias moves forward by itself, stays where a person put it, and no move is lost."""

import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from loray.errors import AliasMovedError, ArtifactError, RegistryError
from loray.pipeline.promotion import PASSED, promote_if_due
from loray.pipeline.publish import publish
from loray.registry import Registry, Version
from tests.pipeline.evaluated import plan_of, publish_seed, publish_seeds, spec_in
from tests.registry.conftest import postgresql, postgresql_names, url  # noqa: F401
from tests.registry.versions import drain, promotable, start


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(f"sqlite:///{tmp_path}/registry.db", str(tmp_path / "root"))


def due(registry: Registry, version: Version, *, meanwhile: object = None) -> list[str]:
    """Promote as `apply` does; `meanwhile` is called between the decision and the move."""
    said: list[str] = []
    calls = [meanwhile] if meanwhile else []

    def check() -> None:
        if calls:
            calls.pop()()  # type: ignore[operator]

    promote_if_due(registry, version, alias="champion", check=check, report=said.append)
    return said


def champions(registry: Registry) -> list[int | None]:
    return [e.to_version for e in registry.events("bot") if e.alias == "champion"]


def test_a_newer_version_takes_over_and_asking_again_changes_nothing(registry: Registry) -> None:
    for seed in range(3):
        version = promotable(registry, seed=seed)
        assert due(registry, version) == [f"registry: bot@champion now is bot@{seed + 1}"]
        assert due(registry, version) == []
    assert champions(registry) == [1, 2, 3]


def test_of_two_runs_the_slower_one_does_not_take_the_newer_ones_place(registry: Registry) -> None:
    slow, fast = promotable(registry), promotable(registry, seed=1)
    due(registry, fast)
    (said,) = due(registry, slow)
    assert "stays where it is: it has named bot@2, which is newer" in said
    assert "loray registry promote bot@1 --alias champion" in said
    assert champions(registry) == [2]
    with pytest.raises(RegistryError, match="older than bot@2"):
        registry.promote(slow)
    assert registry.promote(slow, allow_older=True).version == 1


def test_a_rollback_stays_until_a_version_is_made_after_it(registry: Registry) -> None:
    first, second = promotable(registry), promotable(registry, seed=1)
    due(registry, first)
    due(registry, second)
    waiting = promotable(registry, seed=2)  # made before the rollback, published after it
    registry.rollback("bot", who="ann@desk")
    assert "it named bot@2 before" in due(registry, second)[0]
    assert "ann@desk moved it back to bot@1 after bot@3 was made" in due(registry, waiting)[0]
    assert registry.resolve("bot").number == 1
    due(registry, promotable(registry, seed=3))
    assert champions(registry) == [1, 2, 1, 4]
    assert "it has named bot@4, which is newer" in due(registry, waiting)[0]


def test_an_alias_that_was_taken_away_stays_away(registry: Registry) -> None:
    first = promotable(registry)
    due(registry, first)
    second = promotable(registry, seed=1)
    registry.move_alias("bot", "champion", None, expected_generation=1)
    assert "moved it back to nothing" in due(registry, second)[0]
    due(registry, promotable(registry, seed=2))
    assert champions(registry) == [1, None, 3]


def test_a_promotion_by_hand_in_between_is_seen_and_not_overwritten(registry: Registry) -> None:
    due(registry, promotable(registry))
    second, third = promotable(registry, seed=1), promotable(registry, seed=2)
    said = due(registry, second, meanwhile=lambda: registry.promote(third, who="ann@desk"))
    assert said[0].endswith("was moved just now; deciding again")
    assert "it has named bot@3, which is newer" in said[1]
    assert champions(registry) == [1, 3]


def test_a_step_forward_by_hand_in_between_is_gone_on_from(registry: Registry) -> None:
    due(registry, promotable(registry))
    second, third = promotable(registry, seed=1), promotable(registry, seed=2)
    due(registry, third, meanwhile=lambda: registry.promote(second))
    assert champions(registry) == [1, 2, 3]


def test_a_rollback_in_between_is_not_overwritten(registry: Registry) -> None:
    for seed in range(2):
        due(registry, promotable(registry, seed=seed))
    third = promotable(registry, seed=2)
    said = due(registry, third, meanwhile=lambda: registry.rollback("bot"))
    assert "moved it back to bot@1 after bot@3 was made" in said[1]
    assert champions(registry) == [1, 2, 1]


def test_an_alias_that_never_rests_is_an_error(registry: Registry) -> None:
    version = promotable(registry)

    def stir() -> None:
        now = registry.alias("bot", "champion")
        registry.move_alias("bot", "champion", None, expected_generation=now.generation)

    with pytest.raises(AliasMovedError):
        promote_if_due(registry, version, alias="champion", check=stir, report=lambda _: None)


def test_publishing_again_after_a_rollback_leaves_the_rollback(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, f"sqlite:///{tmp_path}/registry.db")
    registry = Registry(spec.storage.registry, spec.storage.root)
    for seed in (1, 2):
        assert publish_seed(spec, tmp_path, seed).is_new
    registry.rollback("bot")
    said: list[str] = []
    again = publish_seed(spec, tmp_path, 2, said=said)
    assert (again.version.ref, again.is_new) == ("bot@2", False)
    assert "stays where it is" in said[-1]
    assert registry.resolve("bot").number == 1
    assert publish_seed(spec, tmp_path, 3, passed=False).version.state == "rejected"
    assert registry.resolve("bot").number == 1
    publish_seed(spec, tmp_path, 4)
    assert registry.resolve("bot").number == 4


@pytest.mark.slow
def test_two_applies_and_a_person_lose_no_move_and_none_goes_backwards_by_itself(
    url: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Two processes publish under one name; meanwhile a person promotes and rolls back."""
    registry = Registry(url, spec_in(tmp_path, url).storage.root)
    num, by_hand = 5, []
    running = [start(publish_seeds, n, url, str(tmp_path), num) for n in range(2)]
    deadline = time.monotonic() + 120
    while any(process.is_alive() for process, _ in running) and time.monotonic() < deadline:
        by_hand += meddle(registry, len(by_hand))
        time.sleep(random.uniform(0.0, 0.1))
    numbers = [number for process, receiver in running for number in ended(process, receiver)]
    assert sorted(numbers) == list(range(1, 2 * num + 1))
    moves = [event for event in registry.events("bot") if event.alias == "champion"]
    assert [move.generation for move in moves] == list(range(1, len(moves) + 1))
    assert {(m.generation, m.to_version) for m in moves} >= set(by_hand)
    assert len(by_hand) >= 2
    made = {e.to_version: e.id for e in registry.events("bot") if e.kind == "registered"}
    newest = back = 0
    for move in moves:
        number = move.to_version or 0
        if move.reason == PASSED:
            assert number > newest  # never backwards, and never again to what it left
            assert made[number] > back  # nor over a step back that came later
        elif number < newest:
            back = move.id
        newest = max(newest, number)
    assert registry.fsck() == ()


def meddle(registry: Registry, turn: int) -> list[tuple[int, int | None]]:
    """What a person does; the generation and version of each move that went through."""
    try:
        if turn % 2:
            moved = registry.rollback("bot", reason="by hand")
        else:
            usable = [v for v in registry.versions("bot") if v.state == "promotable"]
            moved = registry.promote(random.choice(usable), reason="by hand")
    except (RegistryError, IndexError):  # lost a race, older, or nothing there yet
        return []
    return [(moved.generation, moved.version)]


def ended(process: object, receiver: Connection) -> list[int]:
    process.join(30)  # type: ignore[attr-defined]
    assert process.exitcode == 0  # type: ignore[attr-defined]
    return drain(receiver)


def test_what_had_no_gate_to_pass_is_not_said_to_have_passed(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, f"sqlite:///{tmp_path}/registry.db")
    passed = publish_seed(spec, tmp_path, 1)
    assert (passed.num_gates, passed.words) == (1, "bot@1 passed its gates")
    assert replace(passed, num_gates=0).words == "bot@1 had no gate to pass"
    assert publish_seed(spec, tmp_path, 2, passed=False).words == "bot@2 was refused by a gate"


def test_applies_with_everything_fresh_register_the_same_evaluation_once(tmp_path: Path) -> None:
    """They make nothing, so no stage's lease parts them; that on the name does."""
    spec = spec_in(tmp_path, f"sqlite:///{tmp_path}/registry.db")
    publish_seed(spec, tmp_path, 1)
    with ThreadPoolExecutor(4) as several:
        made = list(several.map(lambda seed: publish_seed(spec, tmp_path, seed), [2, 2, 2, 1]))
    assert {one.version.ref for one in made} == {"bot@1", "bot@2"}
    registry = Registry(spec.storage.registry, spec.storage.root)
    assert [v.state for v in registry.versions("bot")] == ["promotable"] * 2
    assert [e.to_version for e in registry.events("bot") if e.kind == "alias"] == [1, 2]
    assert registry.fsck() == ()


@pytest.mark.parametrize("kind", ["training", "evaluation"])
def test_what_was_cleaned_away_before_it_was_published_is_not_registered(
    tmp_path: Path, kind: str
) -> None:
    spec = spec_in(tmp_path, f"sqlite:///{tmp_path}/registry.db")
    publish_seed(spec, tmp_path, 1)
    folders = {name: tmp_path / f"{name}-1" for name in ("training", "evaluation")}
    shutil.rmtree(folders[kind])
    with pytest.raises(ArtifactError, match=f"{kind}-1 was there .* nothing was registered"):
        publish(spec, plan_of(2), folders, report=lambda _: None)
    assert len(Registry(spec.storage.registry, spec.storage.root).versions("bot")) == 1
