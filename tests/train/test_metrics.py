"""What is told to the outside of a step."""

import pytest

from loray.train.metrics import MEANINGS, metrics_of

LINE = {
    "step": 7, "loss": 2.5, "num_targets": 90, "num_tokens": 120, "grad_norm": 0.8,
    "learning_rate": 1e-3, "seconds": 2.0, "data_seconds": 0.5, "vitals_seconds": 0.25,
    "workers": 2, "tokens_per_second": 68.6, "peak_memory_bytes": 1 << 30,
}  # fmt: skip


def vital(name: str, ratio: float) -> dict[str, float | int | str]:
    return {
        "step": 7, "module": name, "weight_norm_ratio": ratio, "update_ratio": ratio / 100,
        "effective_rank": 2.0, "grad_sparsity": 0.0, "grad_norm": 1.0,
    }  # fmt: skip


def test_a_step_that_was_not_recorded_tells_of_itself_alone() -> None:
    found = metrics_of(LINE, [])
    assert found == {
        "loss": 2.5,
        "grad_norm": 0.8,
        "learning_rate": 1e-3,
        "workers": 2.0,
        "tokens_per_second": 68.6,
        "seconds": 2.0,
        "data_share": 0.25,
        "peak_memory_bytes": float(1 << 30),
    }


def test_a_recorded_step_tells_the_spread_over_modules() -> None:
    found = metrics_of(
        {**LINE, "flops_utilization": 0.4}, [vital("a", 0.3), vital("b", 0.1), vital("c", 0.2)]
    )
    ratios = [found[f"weight_norm_ratio/{over}"] for over in ("min", "median", "max")]
    assert ratios == [0.1, 0.2, 0.3]
    assert found["update_ratio/max"] == pytest.approx(0.003)
    assert set(found) == set(MEANINGS), "every metric has a meaning, and the reverse"
