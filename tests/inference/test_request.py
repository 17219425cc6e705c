import math

import pytest

from loray.errors import RequestError
from loray.inference import GenerateRequest, SamplingParams


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_new_tokens", 0),
        ("max_new_tokens", -1),
        ("max_new_tokens", 10**10),
        ("max_new_tokens", 2.0),
        ("max_new_tokens", True),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", -0.1),
        ("temperature", "1"),
        ("top_p", 0.0),
        ("top_p", 2),
        ("top_p", math.nan),
        ("seed", 2**64),
        ("seed", 1.5),
        ("stop", ("",)),
        ("stop", "x"),
        ("stop", ("x",) * 1000),
        ("stop", ("x" * 1000,)),
        ("stop", (1,)),
    ],
)
def test_4_2_row_17_and_18_a_value_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(RequestError, match=f"{field}|stop string"):
        SamplingParams(**({"max_new_tokens": 1} | {field: value}))


def test_an_empty_prompt_is_refused():
    with pytest.raises(RequestError, match="no token"):
        GenerateRequest("x", (), None, SamplingParams(1))


def test_a_timeout_must_be_a_number():
    with pytest.raises(RequestError, match="timeout_seconds"):
        GenerateRequest("x", (1,), None, SamplingParams(1), timeout_seconds=math.nan)
