"""Three steps of training, held beside the version of the stage."""

from pathlib import Path

import pytest

from loray.train import STAGE_VERSION
from tests.golden import check_golden
from tests.train.loops import build, step_through, weights_of
from tests.train.sequences import make_rows, make_spec, pack, write_tokens

pytestmark = pytest.mark.slow
RUNS = {
    "nf4, ZeRO-2, accumulated": {"train__batch": {"global_size": 8, "micro_size": 2}},
    "float32, plain, DoRA, packed": {
        "base_model__quantization": "none",
        "train__strategy": {"kind": "plain"},
        "method__dora": True,
    },
}


@pytest.mark.usefixtures("alone")
def test_results_change_with_the_version_and_never_without(model: Path, tmp_path: Path) -> None:
    found = {}
    rows = make_rows(40)
    for name, changes in RUNS.items():
        spec = make_spec(model, **changes)
        some = pack(rows, per_sequence=3) if "packed" in name else rows
        tokens = write_tokens(tmp_path / name.replace(" ", ""), some)
        looped = build(spec, tokens)
        step_through(looped, spec, tokens, range(3))
        for step, (loss, norm) in enumerate(zip(looped.losses, looped.norms, strict=True)):
            found |= {f"{name}: loss {step}": loss, f"{name}: norm {step}": norm}
        learned = weights_of(looped.learner)
        found[f"{name}: sum"] = sum(tensor.abs().sum().item() for tensor in learned.values())
    check_golden("train", STAGE_VERSION, found, rel=1e-4)
