import pytest
from hypothesis import given
from hypothesis import strategies as st

from loray.data.steps.whitespace import fenced_parts, tidy

SOUND = [
    "",
    "plain",
    "def f(x):\n\tif x:\n\t    return {'a': 1}\n\n\nclass A:\n    pass\n",
    "| a | b |\n|---|---|\n| 1 |   |",
    "name\tage\t\nada\t36\t\n",  # trailing tabs are empty cells
    "    indented first\n  and less",
    "- one\n  - two\n\n    text of two",
    "```diff\n a\n \n-b  \n+c\n\n\n\n\n\n```",
    "~~~\ntext \n~~~",
    "> ```\n> x \n> ```",
    "1. list\n   ````\n   ```  \n   ````",
    "```\nnever closed  \n\n\n\n\n",
    "\u3000\u4e00\u500b\u3000\u6bb5\u843d",  # ideographic spaces
    "\n\n\nthree empty lines would be one too many",
]


@pytest.mark.parametrize("text", SOUND)
def test_what_blanks_mean_is_kept(text):
    assert tidy(text) == text


@pytest.mark.parametrize(
    ("untidy", "whole"),
    [
        ("one\r\ntwo\rthree\u2028four\u0085five", "one\ntwo\nthree\nfour\nfive"),
        ("text  \nmore \n", "text\nmore\n"),
        ("end   ", "end"),
        ("a\n \t \nb\t \n", "a\n\nb\t\n"),
        ("a\n\n\n\n\n\nb", "a\n\n\nb"),
        ("a\r\n\r\n \r\n\t\r\n\r\nb", "a\n\n\nb"),
        ("10\u00a0000\u202fkm \u2009x\u2003", "10 000 km  x"),
        ("so \n```\nx \n``` \ndone ", "so\n```\nx \n``` \ndone"),
        ("```inline``` code \nhere ", "```inline``` code\nhere"),
        ("```\r\nx \r\n```\r\n", "```\nx \n```\n"),
    ],
)
def test_what_nobody_sees_is_tidied(untidy, whole):
    assert tidy(untidy) == whole


def test_the_number_of_empty_lines_is_a_setting():
    assert tidy("a\n\n\n\nb", max_blank_lines=0) == "a\nb"
    assert tidy("a\n\n\n\nb", max_blank_lines=1) == "a\n\nb"
    assert tidy("a\n\n\n\nb", max_blank_lines=3) == "a\n\n\n\nb"


def test_fenced_parts_are_the_text_in_pieces():
    text = "a\n```py\nx\n```\nb\n~~~\ny"
    assert fenced_parts(text) == [
        ("a\n", False),
        ("```py\nx\n```", True),
        ("\nb\n", False),
        ("~~~\ny", True),
        ("", False),
    ]


pieces = st.sampled_from(
    [
        "a",
        " ",
        "\t",
        "\n",
        "\n\n\n",
        "\r",
        "\r\n",
        "\u00a0",
        "\u2028",
        "```",
        "~~~",
        "`",
        ">",
        " \n",
    ]
)


@given(st.lists(pieces, max_size=24).map("".join), st.integers(0, 3))
def test_tidying_twice_changes_nothing_more(text, most):
    once = tidy(text, most)
    assert tidy(once, most) == once
    assert once.split() == text.split()
    assert "".join(part for part, _ in fenced_parts(once)) == once
    assert "\r" not in once
