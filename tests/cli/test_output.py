import sys

from loray.cli.output import show_table

ROWS = [("dataset", "datasets/bot-0123456789ab", None), ("training", "[red]x[/red]", 0.123456)]


def test_a_table_is_plain_and_aligned_where_no_terminal_reads_it(capsys):
    show_table(("stage", "artifact", "score"), ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "STAGE     ARTIFACT                   SCORE",
        "dataset   datasets/bot-0123456789ab  -",
        "training  [red]x[/red]               0.1235",
    ]


def test_a_narrow_terminal_gets_every_character(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_table(("stage", "artifact", "score"), ROWS)
    out = capsys.readouterr().out
    assert out.isascii()  # nothing is cut off with an ellipsis
    assert max(map(len, out.splitlines()[1:])) <= 30  # the head's style takes no room
    assert "-0123456789a" in out


def test_what_would_steer_a_terminal_does_not_leave_a_table(capsys):
    show_table(("name",), [("a\x1b[2Jb",)])
    assert "\x1b" not in capsys.readouterr().out
