"""Lists of values on the command line."""

import pytest

from loray.errors import SpecError
from loray.spec.grid import Axis, combinations, end_of, parse_axes


def test_every_combination_is_there_once_and_the_last_field_changes_first() -> None:
    axes = parse_axes(["method.rank=4,8", "train.optimizer.learning_rate=1e-4,3e-4"])
    assert axes[0] == Axis("method.rank", (4, 8))
    assert combinations(axes) == [
        ("method.rank=4", "train.optimizer.learning_rate=0.0001"),
        ("method.rank=4", "train.optimizer.learning_rate=0.0003"),
        ("method.rank=8", "train.optimizer.learning_rate=0.0001"),
        ("method.rank=8", "train.optimizer.learning_rate=0.0003"),
    ]


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        ("a.b=attention,mlp", ["a.b=attention", "a.b=mlp"]),
        ("a.b='4',true", ['a.b="4"', "a.b=true"]),
        ("a.b=[q_proj, v_proj],[q_proj]", ['a.b=["q_proj", "v_proj"]', 'a.b=["q_proj"]']),
        (
            "m={kind: lora, rank: 4},{kind: full}",
            ['m={"kind": "lora", "rank": 4}', 'm={"kind": "full"}'],
        ),
        ("a= 1 , 2 ,", ["a=1", "a=2"]),
        ("a=7", ["a=7"]),
    ],
)
def test_values_are_yaml_and_are_read_back_as_they_were(text: str, overrides: list[str]) -> None:
    (axis,) = axes = parse_axes([text])
    assert [each for (each,) in combinations(axes)] == overrides
    again = [parse_axes([override])[0].values for override in overrides]
    assert again == [(value,) for value in axis.values]


@pytest.mark.parametrize("text", ["method.rank", "method.rank=", "=4", "a..b=4", "a=4,,8", "a={b"])
def test_what_is_no_path_with_values_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="wanted --set-list path=value,value"):
        parse_axes([text])


def test_a_value_or_a_path_that_is_there_twice_is_refused_and_all_faults_are_told() -> None:
    with pytest.raises(SpecError) as caught:
        parse_axes(["a=4,8,4", "b=1", "b=2"])
    assert "found 4 twice" in str(caught.value)
    assert "found this path in two lists" in str(caught.value)


def test_the_ends_of_an_axis_are_known_when_its_values_are_numbers() -> None:
    axis = Axis("method.rank", (8, 4, 16))
    ends = [end_of(axis, f"method.rank={n}") for n in (4, 8, 16)]
    assert ends == ["lowest", "", "highest"]
    assert end_of(Axis("a", (1,)), "a=1") == ""
    assert end_of(Axis("a", ("x", "y")), "a=x") == ""
    assert end_of(Axis("a", (False, True)), "a=true") == ""
