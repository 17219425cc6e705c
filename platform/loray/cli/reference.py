"""The page `docs/reference/cli.md`, made from the commands themselves.

`python -m loray.cli.reference` prints it; `make reference` writes it; a test compares.
"""

import inspect
from collections.abc import Iterator

import click

from loray.cli import exits

_OPENING = """\
# The command line

Generated from the commands in `platform/loray/cli/` by `make reference`; a test compares.

A spec is read and checked in well under a second, without importing torch or Ray; only the verbs
that run something load them. `--json` prints one JSON document, on errors too:
`{"error": {"type", "message", "faults": [{"source", "line", "column", "path", "message"}]}}`.
Lines go to the output, errors to the error stream; colours, tables and the spinner are for
terminals, plain lines for everything else.

## Exit codes

| code | meaning |
|---|---|"""


def reference_page(root: click.Group) -> str:
    """The whole page."""
    codes = [
        line.partition(" ") for line in (exits.__doc__ or "").splitlines() if line[:1].isdigit()
    ]
    table = [f"| {code} | {meaning.strip()} |" for code, _, meaning in codes]
    return "\n".join([_OPENING, *table, *_sections(root, "loray")]) + "\n"


def _sections(group: click.Group, path: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        yield from _section(command, f"{path} {name}")
        if isinstance(command, click.Group):
            yield from _sections(command, f"{path} {name}")


def _section(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield f"\n## {path}\n"
    yield f"`{' '.join([path, *command.collect_usage_pieces(context)])}`\n"
    yield inspect.cleandoc(command.help or "")
    records = [p.get_help_record(context) for p in command.params if isinstance(p, click.Option)]
    rows = [record for record in records if record]
    if rows:
        yield "\n| option | meaning |\n|---|---|"
        yield from (_row(option, meaning) for option, meaning in rows)


def _row(option: str, meaning: str) -> str:
    cells = f"`{option}`".replace("|", "\\|"), " ".join(meaning.split()).replace("|", "\\|")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    from loray.cli.main import cli

    click.echo(reference_page(cli), nl=False)
