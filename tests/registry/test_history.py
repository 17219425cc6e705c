"""A registry against a model of it in a few dictionaries, under random histories."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from loray.errors import AdapterNotFoundError, AliasMovedError, RegistryError
from loray.registry import Registry
from loray.registry.versions import NEXT_STATES
from tests.adapters import write_adapter
from tests.registry.versions import lineage

NAMES = st.sampled_from(["bot", "other"])
ALIASES = st.sampled_from(["champion", "canary"])
STATES = st.sampled_from(["evaluated", "promotable", "rejected", "withdrawn"])
OUT = ("rejected", "withdrawn")


class History(RuleBasedStateMachine):
    """`states[name]` lists the states of versions 1, 2, ...; `moves` the undo stack of an alias."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        root = str(self.folder / "root")
        self.registry = Registry(f"sqlite:///{self.folder}/registry.db", root)
        self.adapters = [write_adapter(self.folder / f"a{n}", seed=n) for n in range(3)]
        self.keys: dict[str, tuple[str, int, int]] = {}
        self.states: dict[str, list[str]] = {}
        self.moves: dict[tuple[str, str], list[int | None]] = {}
        self.generations: dict[tuple[str, str], int] = {}

    def teardown(self) -> None:
        assert self.registry.fsck() == ()
        self.temporary.cleanup()

    @rule(name=NAMES, seed=st.integers(0, 2), key=st.sampled_from("pqrstuv"))
    def register(self, name: str, seed: int, key: str) -> None:
        known = self.keys.get(key)
        with contextlib.ExitStack() as stack:
            if known and known[:2] != (name, seed):
                stack.enter_context(pytest.raises(RegistryError))
            found = self.registry.register(
                name, self.adapters[seed], idempotency_key=key, lineage=lineage(), scores={}
            )
            if known:
                assert found.number == known[2]
                return
            self.states.setdefault(name, []).append("registered")
            self.keys[key] = (name, seed, found.number)
            assert found.number == len(self.states[name])

    def _version(self, data: st.DataObject) -> tuple[str, int]:
        name = data.draw(st.sampled_from(sorted(self.states)))
        return name, data.draw(st.integers(1, len(self.states[name])))

    @precondition(lambda self: self.states)
    @rule(data=st.data(), state=STATES)
    def set_state(self, data: st.DataObject, state: Any) -> None:
        name, number = self._version(data)
        before = self.states[name][number - 1]
        named = any(n == name and self._at(n, a) == number for n, a in self.moves)
        is_step = state in NEXT_STATES[before]  # type: ignore[index]
        version = self.registry.resolve(f"{name}@{number}")
        if state == before or (is_step and not (named and state in OUT)):
            assert self.registry.set_state(version, state).state == state
            self.states[name][number - 1] = state
        else:
            with pytest.raises(RegistryError):
                self.registry.set_state(version, state)

    @precondition(lambda self: self.states)
    @rule(data=st.data(), alias=ALIASES, late=st.integers(0, 1), take_away=st.booleans())
    def move(self, data: st.DataObject, alias: str, late: int, take_away: bool) -> None:
        name, number = self._version(data)
        to = None if take_away else number
        state = self.states[name][number - 1]
        seen = self.generations.get((name, alias), 0)
        is_fit = to is None or (state == "promotable" if alias == "champion" else state not in OUT)
        if is_fit and not late:
            moved = self.registry.move_alias(name, alias, to, expected_generation=seen)
            self._moved(name, alias, moved.generation)
            self.moves.setdefault((name, alias), []).append(to)
        else:
            error = RegistryError if not is_fit else AliasMovedError
            with pytest.raises(error):
                self.registry.move_alias(name, alias, to, expected_generation=seen - late)

    @precondition(lambda self: self.moves)
    @rule(data=st.data())
    def rollback(self, data: st.DataObject) -> None:
        name, alias = data.draw(st.sampled_from(sorted(self.moves)))
        stack = self.moves[name, alias]
        back = list(stack)
        while back and (back[-1] in (None, stack[-1]) or self.states[name][back[-1] - 1] in OUT):
            back.pop()
        if not back:
            with pytest.raises(RegistryError):
                self.registry.rollback(name, alias)
            return
        moved = self.registry.rollback(name, alias)
        assert moved.version == back[-1]
        self._moved(name, alias, moved.generation)
        self.moves[name, alias] = back

    @rule()
    def sweep(self) -> None:
        self.registry.gc(dry_run=False, grace_seconds=0)

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def fetch(self, data: st.DataObject) -> None:
        name, number = self._version(data)
        version = self.registry.resolve(f"{name}@{number}")
        if self.states[name][number - 1] == "withdrawn":
            with pytest.raises(RegistryError):
                self.registry.fetch(version)
            return
        seed = next(s for n, s, v in self.keys.values() if (n, v) == (name, number))
        weights = "adapter_model.safetensors"
        fetched = self.registry.fetch(version) / weights
        assert fetched.read_bytes() == (self.adapters[seed] / weights).read_bytes()

    @invariant()
    def agrees(self) -> None:
        listed = {a.name: a for a in self.registry.adapters()}
        assert {n: a.last_version for n, a in listed.items()} == {
            n: len(s) for n, s in self.states.items()
        }
        for name, states in self.states.items():
            assert [v.state for v in self.registry.versions(name)] == states
        for name, alias in self.moves:
            number = self._at(name, alias)
            assert listed[name].aliases.get(alias) == number
            if number is None:
                with pytest.raises(AdapterNotFoundError):
                    self.registry.resolve(f"{name}@{alias}")
            else:
                assert self.registry.resolve(f"{name}@{alias}").number == number

    def _at(self, name: str, alias: str) -> int | None:
        return self.moves[name, alias][-1]

    def _moved(self, name: str, alias: str, generation: int) -> None:
        assert generation == self.generations.get((name, alias), 0) + 1
        self.generations[name, alias] = generation


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=3, stateful_step_count=20, deadline=None)


@pytest.mark.slow
class TestLongHistory(History.TestCase):
    settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
