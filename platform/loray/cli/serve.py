"""`loray serve` and `loray quickstart`: verbs whose work is elsewhere."""

import os
from pathlib import Path

import click

from loray.cli.options import set_option, spec_argument
from loray.cli.output import say

PORT_HELP = "Port to listen on; 0 picks a free one."


@click.command()
@spec_argument
@set_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help=PORT_HELP
)
def serve(spec: Path, overrides: tuple[str, ...], host: str, port: int) -> None:
    """Serve the adapters in a spec's registry over its base model, until interrupted.

    Then newcomers are refused, requests in flight have serve.drain_seconds to end, and the exit
    code is 130 or 143.
    """
    from loray.machines.ports import refuse_taken
    from loray.spec.load import load_run_spec

    run = load_run_spec(spec, overrides)
    if not os.environ.get("RAY_ADDRESS"):  # else it is other machines' port
        refuse_taken(host, port)
    from loray.pipeline.serving import serve_until_stopped

    serve_until_stopped(run, host=host, port=port, report=say)


@click.command()
def quickstart() -> int:
    """Build a corpus from this Python's documentation, train two adapters, serve and ask them."""
    from loray.quickstart.run import main

    return main()
