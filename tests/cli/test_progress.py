import io
import sys

import pytest

from loray.cli.progress import Sparse, progress
from loray.machines.passing import Passing, prefixed


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_ten_hours_of_steps_are_few_lines_in_a_file() -> None:
    shown: list[str] = []
    clock = Clock()
    report = Sparse(shown.append, clock)
    for second in range(0, 36_000, 2):
        clock.now = float(second)
        report(Passing(f"step {second // 2 + 1}"))
    assert shown[:6] == ["step 1", "step 2", "step 3", "step 5", "step 9", "step 17"]
    assert 150 < len(shown) < 300


def test_a_line_that_is_to_stay_is_always_shown_and_what_follows_begins_anew() -> None:
    shown: list[str] = []
    clock = Clock()
    report = Sparse(shown.append, clock)
    report(Passing("step 1"))
    report(Passing("step 2"))
    report("a spike")
    report(Passing("step 3"))
    report(Passing("step 4"))
    assert shown == ["step 1", "a spike", "step 3"]


def test_a_prefix_keeps_what_kind_of_line_it_is() -> None:
    shown: list[str] = []
    report = prefixed("training", shown.append)
    report(Passing("step 1"))
    report("done")
    assert shown == ["training: step 1", "training: done"]
    assert [isinstance(line, Passing) for line in shown] == [True, False]


def test_on_a_terminal_passing_lines_are_updated_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with progress() as report:
        report("training: starting 2 workers")
        for step in range(1, 4):
            report(Passing(f"training: step {step}/4"))
        report("training: step 4/4")
    lines = terminal.getvalue().replace("\r", "\n").splitlines()
    kept = [line for line in lines if "s\x1b[0m  " in line]
    assert len(kept) == 2, "two lines stay"
    assert "starting 2 workers" in kept[0]
    assert "step 4/4" in kept[1]


def test_in_a_pipe_there_are_lines_without_control_signs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress() as report:
        report(Passing("step 1"))
        report(Passing("step 2"))
        report("done")
    with progress(as_json=True) as report:
        report("aside")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("step 1\ndone\n", "aside\n")
