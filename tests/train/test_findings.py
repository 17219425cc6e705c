"""What a run's records say about it."""

import random

import pytest

from loray.train.findings import dead_modules, findings, outgrown, plateau


def vital(step: int, module: str, *, norm: float = 1.0, ratio: float = 0.1):
    return {"step": step, "module": module, "grad_norm": norm, "weight_norm_ratio": ratio}


def test_a_healthy_run_has_no_findings():
    losses = [3.0 * 0.99**at for at in range(200)]
    assert findings(losses, [vital(step, name) for step in (1, 20) for name in "ab"]) == []
    assert findings([], []) == []


def test_modules_without_a_gradient_are_named_unless_one_came_later():
    records = [vital(1, name, norm=0.0) for name in "abcdefg"]
    found = dead_modules(records)
    assert "7 of 7" in found.seen
    assert "(a, b, c, d and 3 more)" in found.seen
    later = [*records, *(vital(20, name, norm=float(name > "b")) for name in "abcdefg")]
    assert "2 of 7 adapted modules (a, b)" in dead_modules(later).seen
    assert dead_modules([*later, vital(40, "a"), vital(40, "b")]) is None


def test_an_update_that_outweighs_its_weight_is_named_by_its_last_record():
    records = [vital(20, "a", ratio=3.0), vital(40, "a", ratio=0.5), vital(40, "b", ratio=1.5)]
    found = outgrown(records)
    assert found.step == 40
    assert "1 module(s)" in found.seen
    assert "up to 1.5 times (b)" in found.seen
    assert outgrown(records[:2]) is None


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_plateau_is_a_loss_that_fell_no_more(noise):
    draw = random.Random(1)
    falling = [3.0 * 0.99**at for at in range(60)]
    flat = [*falling, *(1.0 + noise * draw.random() for _ in range(140))]
    assert plateau(flat).kind == "plateau"
    assert plateau(flat[:100]) is None  # too short to tell
    assert plateau([3.0 * 0.99**at for at in range(200)]) is None
