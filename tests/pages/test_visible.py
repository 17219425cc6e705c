from loray.pages.visible import one_line, visible


def test_visible_keeps_what_people_write() -> None:
    for text in (
        "a\tb\nc",
        "caf\u00e9 \u6f22\u5b57 \u0627\u0644",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\\x1b",
    ):
        assert visible(text) == text
    assert one_line("a\n\n  b\x1bc", longest=80) == "a b\\x1bc"
    assert len(one_line("x" * 100, longest=10)) == 10
