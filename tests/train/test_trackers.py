"""Trackers without Ray: what they hear, what TensorBoard reads, and what becomes of faults."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loray.errors import SpecError
from loray.spec.tracking import TrackingSpec
from loray.train.trackers import TrackedRun, Trackers, check_trackers, load_tracker
from tests.train.event_files import curve

if TYPE_CHECKING:
    from loray.artifacts.diagnosis import Diagnosis

HERE = "tests.train.trackers"


def tracked_run(steps_done: int = 0) -> TrackedRun:
    return TrackedRun("bot-0123456789ab", "bot", 20, steps_done, {"seed": 7})


def test_tensorboard_shows_the_steps_that_counted(tmp_path: Path) -> None:
    spec = TrackingSpec(tensorboard=str(tmp_path / "runs"))
    told: list[Diagnosis] = []
    trackers = Trackers(spec, told.append)
    trackers.start(tracked_run())
    for step in (1, 2, 3, 4, 5):
        trackers.log(step, {"loss": float(step), "update_ratio/median": 1e-3})
    for step in (3, 4):  # the guard set the run back to step 2
        trackers.log(step, {"loss": 30.0 + step})
    trackers.finish()
    folder = tmp_path / "runs" / "bot-0123456789ab"
    assert curve(folder, "train/loss") == {1: 1.0, 2: 2.0, 3: 33.0, 4: 34.0}
    assert list(curve(folder, "update_ratio/median")) == [1, 2]

    # Resumed from step 3, by another process.
    trackers = Trackers(spec, told.append)
    trackers.start(tracked_run(3))
    trackers.log(4, {"loss": math.nan})
    trackers.finish()
    shown = curve(folder, "train/loss")
    assert list(shown) == [1, 2, 3, 4]
    assert math.isnan(shown[4])
    assert told == []


def test_a_tracker_of_ones_own_hears_everything_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trackers = Trackers(TrackingSpec(own=f"{HERE}:Notes"), lambda found: pytest.fail(str(found)))
    trackers.start(tracked_run(5))
    trackers.log(6, {"loss": 2.5})
    trackers.finish()
    lines = (tmp_path / "notes" / "bot-0123456789ab.txt").read_text().splitlines()
    assert lines == ["start bot 5/20 seed=7", "6 2.5", "finish"]


def test_a_tracker_that_raises_is_switched_off_once_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[Diagnosis] = []
    spec = TrackingSpec(tensorboard="runs", own=f"{HERE}:FailsLate")
    trackers = Trackers(spec, told.append)
    trackers.start(tracked_run())
    for step in range(1, 6):
        trackers.log(step, {"loss": float(step)})
    trackers.finish()
    (found,) = told
    assert (found.kind, found.step) == ("tracker", 3)
    assert "tracking.own (tests.train.trackers:FailsLate) raised ConnectionError" in found.seen
    assert "in log: no route to the tracking server" in found.seen
    assert "switched off" in found.done
    notes = (tmp_path / "notes" / "bot-0123456789ab.txt").read_text().splitlines()
    assert notes[-1] == "2 2.0", "neither told nor finished after its failure"
    assert list(curve(tmp_path / "runs" / "bot-0123456789ab", "train/loss")) == [1, 2, 3, 4, 5]


def test_a_tracker_that_cannot_start_is_not_told_a_step() -> None:
    told: list[Diagnosis] = []
    trackers = Trackers(TrackingSpec(own=f"{HERE}:FailsAtOnce"), told.append)
    trackers.start(tracked_run())
    trackers.log(1, {"loss": 1.0})
    trackers.finish()
    assert [(found.kind, found.step) for found in told] == [("tracker", 0)]
    assert "PermissionError in start: no key" in told[0].seen


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_place:Board", "module 'no_such_place' of the tracker .* is not importable"),
        (f"{HERE}:Missing", "has no Class 'Missing'; .*; define it"),
        (f"{HERE}:Deaf", "without log, finish; wanted a class with the methods start"),
        (f"{HERE}:function", "is a function without start, log, finish; wanted a class"),
        (f"{HERE}:NeedsSettings", "cannot be made without arguments .*'url'.*; give them some"),
        ("Board", "wanted package.module:Class"),
    ],
)
def test_what_is_no_tracker_is_refused_with_the_remedy(path: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_tracker(path)


def test_a_package_that_is_missing_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = TrackingSpec(tensorboard="runs")
    check_trackers(spec)
    monkeypatch.delitem(sys.modules, "tensorboardX", raising=False)
    monkeypatch.setattr(sys, "path", [])
    check_trackers(TrackingSpec())
    with pytest.raises(SpecError, match=r"pip install 'loray\[tensorboard\]'"):
        check_trackers(spec)
