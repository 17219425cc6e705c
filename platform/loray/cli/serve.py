"""`loray serve` and `loray quickstart`: verbs whose work is elsewhere."""

from pathlib import Path

import click

from loray.cli.options import set_option, spec_argument
from loray.cli.output import say


@click.command()
@spec_argument
@set_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
def serve(spec: Path, overrides: tuple[str, ...], host: str, port: int) -> None:
    """Serve the adapters in a spec's registry over its base model, until interrupted."""
    from loray.pipeline.serving import serve_until_stopped
    from loray.spec.load import load_run_spec

    serve_until_stopped(load_run_spec(spec, overrides), host=host, port=port, report=say)


@click.command()
def quickstart() -> int:
    """Build a corpus from this Python's documentation, train two adapters, serve and ask them."""
    from loray.quickstart.run import main

    return main()
