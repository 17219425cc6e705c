from loray.pipeline.serving import MAX_NAMES, served_words


def test_few_references_are_named_and_many_are_counted() -> None:
    assert served_words([]) == "no adapter yet, the base only"
    assert served_words(["call", "call@1"]) == "call, call@1"
    refs = sorted(f"bot{n:03}{end}" for n in range(200) for end in ("", "@1", "@champion"))
    said = served_words(refs)
    assert said == (
        ", ".join(f"bot{n:03}" for n in range(MAX_NAMES))
        + " and 192 more (600 references; GET /v1/models lists them)"
    )
