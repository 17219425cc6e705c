"""What a plan notes of how often the data is seen."""

from loray.planner.notes import passes_words


def test_a_run_says_how_many_epochs_it_is_and_when_these_are_too_many() -> None:
    assert passes_words(0.3571) == "0.357 epochs over the data"
    assert passes_words(10.0) == "10 epochs over the data"
    assert passes_words(42.0) == (
        "42 epochs over the data: beyond about 10 it mostly learns the rows by heart; lower "
        "train.steps, or bring more rows"
    )
    assert passes_words(3.456, is_estimate=True) == (
        "about 3.5 epochs over the data, estimated from its first rows"
    )
