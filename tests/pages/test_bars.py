import pytest

from loray.pages.bars import Histogram, bar_list, histogram
from tests.pages.parsed import HOSTILE, Page


def test_bars_are_as_long_as_their_values_and_say_them():
    page = Page(bar_list([("many", 1200), ("few", 300), ("none", 0)], title="rows"))
    widths = [float(value) for name, value in page.attributes if name == "width"]
    assert widths[1] == pytest.approx(widths[0] / 4, abs=0.1)
    assert widths[2] == 1.5, "seen, though it is nothing"
    assert "1,200" in page.texts
    assert "many: 1,200" in page.texts


def test_names_of_bars_are_text_whatever_they_hold():
    page = Page(bar_list([(HOSTILE, 1)], title=HOSTILE))
    assert set(page.tags) == {"svg", "text", "rect", "title"}


@pytest.mark.parametrize("values", [[], [("a", 0)], [("a", 0.25)]])
def test_any_bars_can_be_drawn(values):
    assert "nan" not in bar_list(values, title="x")


def test_a_histogram_has_a_column_for_each_bin_that_holds_something():
    page = Page(histogram(Histogram("tokens", [3, 0, 1], [0, 10, 20, 30])))
    assert page.tags.count("rect") == 2
    assert "0 to 10: 3" in page.texts
    assert "20 to 30: 1" in page.texts


@pytest.mark.parametrize(("limit", "is_inside"), [(25.0, True), (500.0, False)])
def test_a_limit_is_a_line_or_an_arrow_to_where_it_would_be(limit: float, is_inside: bool):
    drawn = histogram(Histogram("tokens", [3, 0, 1], [0, 10, 20, 30], ("max_tokens", limit)))
    assert ('class="level"' in drawn) is is_inside
    assert (f"max_tokens {limit:.0f} \u2192" in drawn) is not is_inside
