"""Whatever a file holds, it is a spec or it is refused as one; nothing else comes out."""

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loray.errors import SpecError
from loray.spec import shape
from loray.spec.load import parse_run_spec
from loray.spec.run import RunSpec
from tests.spec.conftest import SOUND

often = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))

SIGNS = st.text(alphabet="ab01 .-+e:[]{},#&*!|>'\"%@`?\n\t~\x00\xe4\u2028", max_size=60)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["no", "1e-4", "0123", "1:30", ".nan", "all-linear", "lora", "s3://b/k"]),
)
NAMES = st.sampled_from(
    sorted({n for node in shape.root()["$defs"].values() for n in node.get("properties", ())})
) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


def is_spec_or_refused(text: str, overrides: list[str] | None = None) -> bool:
    try:
        return isinstance(parse_run_spec(text, overrides=overrides or []), RunSpec)
    except SpecError as error:
        return bool(error.faults) and all(fault.message for fault in error.faults)


@often
@given(SIGNS)
def test_any_text_is_a_spec_or_refused(text: str):
    assert is_spec_or_refused(text)


@often
@given(SIGNS, st.integers(0, len(SOUND)))
def test_a_sound_spec_with_anything_in_it_is_a_spec_or_refused(text: str, where: int):
    assert is_spec_or_refused(SOUND[:where] + text + SOUND[where:])


@often
@given(st.dictionaries(st.sampled_from(sorted(RunSpec.model_fields)) | NAMES, VALUES, max_size=6))
def test_any_block_is_a_spec_or_refused(data: dict[str, object]):
    assert is_spec_or_refused(yaml.safe_dump(data, allow_unicode=True))


@often
@given(st.lists(NAMES | st.integers(0, 3), min_size=1, max_size=5), VALUES)
def test_any_override_is_a_spec_or_refused(path: list[str | int], value: object):
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()
    assert is_spec_or_refused(SOUND, [f"{'.'.join(map(str, path))}={text}"])
