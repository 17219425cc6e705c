"""`loray serve` and `loray quickstart`: verbs whose work is elsewhere."""

from pathlib import Path

import click

from loray.cli.options import set_option, spec_argument


@click.command()
@spec_argument
@set_option
def serve(spec: Path, overrides: tuple[str, ...]) -> None:
    """Serve the adapters in a spec's registry over its base model, until interrupted."""
    from loray.serve.run import serve_spec
    from loray.spec.load import load_checked

    serve_spec(load_checked(spec, overrides))


@click.command()
def quickstart() -> int:
    """Build a corpus from this Python's documentation, train two adapters, serve and ask them."""
    from loray.quickstart.run import main

    return main()
