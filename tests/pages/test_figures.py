import pytest

from loray.pages.figures import number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2013"),
        (0.0, "0.000"),
        (0.0004, "4.0e-04"),
        (0.3124, "0.312"),
        (9.969, "9.97"),
        (-53.72, "-53.7"),
        (136.6, "137"),
        (12345.6, "12,346"),
        (2.5e7, "2.50e+07"),
    ],
)
def test_numbers_are_short_and_never_hide_a_missing_value(value: float | None, text: str) -> None:
    assert number(value) == text
