"""What the command line prints: lines and tables, rich on a terminal, plain elsewhere, or JSON."""

import json
import sys
from collections.abc import Sequence

import click

from loray.cli.hints import completed


def say(line: str = "") -> None:
    """Print a line; control characters in it are shown, never obeyed by the terminal."""
    click.echo(harmless(completed(line)))


def complain(line: str) -> None:
    """Print a line where errors go."""
    click.echo(harmless(completed(line)), err=True)


def emit_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their column names, as wide as the terminal or as they need."""
    cells = [[harmless(_cell(value)) for value in row] for row in rows]
    if sys.stdout.isatty():
        _show_rich(columns, cells)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in [[name.upper() for name in columns], *cells]:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())


def harmless(text: str) -> str:
    """`text` with what would steer a terminal written as an escape; line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.4g}"
        case _:
            return str(value)


def _show_rich(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)
