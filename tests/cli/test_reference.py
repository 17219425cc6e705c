from pathlib import Path

from loray.cli.exits import Exit
from loray.cli.main import VERBS, cli
from loray.cli.reference import reference_page


def test_the_page_in_the_repository_is_what_the_commands_say(repository: Path):
    page = (repository / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert page == reference_page(cli), "run: make reference"


def test_the_page_has_every_verb_and_every_exit_code():
    page = reference_page(cli)
    assert [verb.name for verb in VERBS if f"## loray {verb.name}\n" not in page] == []
    assert [code for code in Exit if f"| {code.value} | " not in page] == []
