"""A base that cannot be learned on is blamed, and not the rows or the rate."""

import json
from pathlib import Path

import pytest

from loray.errors import ModelError, TrainingError
from tests.train.loops import build
from tests.train.sequences import make_rows, make_spec, spoilt, write_tokens

pytestmark = pytest.mark.usefixtures("alone")


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_nan_in_the_weights_is_named_with_its_tensor(
    model: Path, tmp_path: Path, quantization: str
) -> None:
    from loray.train.batches import BatchSizes, micro_batches, open_tokens
    from loray.train.loop import loss_on
    from loray.train.worker import check_base

    base = spoilt(model, tmp_path / "base", "nan")
    spec = make_spec(base, base_model__quantization=quantization)
    tokens = open_tokens(write_tokens(tmp_path, make_rows(8)))
    sizes = BatchSizes(8, 4, 1)
    loss = loss_on(build(spec).engine, micro_batches(tokens, step=0, seed=0, sizes=sizes, worker=0))
    tokens.close()
    named = r"1 of 8192 numbers of tensor model\.layers\.0\.mlp\.up_proj\.weight in model\.saf"
    with pytest.raises(ModelError, match=rf"a loss of nan before any training, since .*{named}"):
        check_base(spec.base_model, [1.0, loss])


def test_finite_weights_that_overflow_are_told_apart(model: Path) -> None:
    from loray.train.worker import check_base

    spec = make_spec(model)
    check_base(spec.base_model, [3.0, 2.5])
    with pytest.raises(ModelError, match="all of its weights are finite: its activations overflow"):
        check_base(spec.base_model, [float("inf")])


@pytest.mark.parametrize("init", ["pissa", "eva"])
def test_what_begins_at_the_weights_says_so_too(model: Path, tmp_path: Path, init: str) -> None:
    base = spoilt(model, tmp_path / "base", "nan")
    spec = make_spec(base, base_model__quantization="none", method__init=init)
    tokens = write_tokens(tmp_path, make_rows(8))
    with pytest.raises(ModelError, match=f"method.init is {init}.*NaN"):
        build(spec, tokens)


@pytest.mark.ray
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan", r"a loss of nan before any training.* tensor model\.layers\.0\.mlp\.up_proj"),
        ("shape", r"model\.layers\.0\.mlp\.up_proj\.weight of .* has the shape \(100, 64\)"),
    ],
)
def test_a_faulty_base_ends_the_run_and_no_row_is_blamed(
    model: Path, tmp_path: Path, fault: str, message: str
) -> None:
    """That it is tried once is in `test_waiting.py`."""
    from loray.train.run import train_to

    lines: list[str] = []
    base = spoilt(model, tmp_path / "base", fault)
    spec = make_spec(base, base_model__quantization="none")
    tokens = write_tokens(tmp_path, make_rows(8))
    (tmp_path / "out").mkdir()
    with pytest.raises(TrainingError, match=message):
        train_to(tmp_path / "out", spec, tokens, attempt=1, report=lines.append)
    assert not any("started again" in line for line in lines)
    (found,) = map(json.loads, (tmp_path / "out" / "diagnoses.jsonl").read_text().splitlines())
    assert found["kind"] == "failed"
    assert not found.get("rows")
