from loray.evaluate.words import is_better


def test_lower_perplexity_and_higher_anything_else_is_better() -> None:
    assert is_better("perplexity", 3.0, than=4.0)
    assert not is_better("perplexity", 4.0, than=4.0)
    assert is_better("rougeL", 0.4, than=0.3)
    assert not is_better("rougeL", 0.3, than=0.3)
