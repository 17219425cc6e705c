"""All adapters of a registry over one base model, as a Ray Serve application.

serve run serve_apps.adapters:build spec=configs/runs/docstring.yaml
serve deploy configs/serve/adapters.yaml
"""

import contextlib
import shlex
from typing import TYPE_CHECKING

from loray.errors import SpecError
from loray.pipeline.catalog import catalog_of
from loray.serve.run import build_application
from loray.spec.base import StrictModel
from loray.spec.load import load_run_spec

if TYPE_CHECKING:
    from ray.serve import Application


class AppArguments(StrictModel):
    """What follows the import path on the command line, or `args` in a Serve config file."""

    spec: str
    """Path of a run spec: its base model, its registry, and its `serve` block."""
    overrides: str = ""
    """`path=value` pairs laid over the spec, with spaces between them; quoted as in a shell."""
    folder: str = "."
    """Where relative paths start from: this one's, and those in the spec."""


def build(args: AppArguments) -> "Application":
    """The application; the adapters are looked up while it runs, not now.

    Raises:
        SpecError: the spec is not one that can be run.
        ModelError: its base model is not there.
        RegistryError: its registry does not answer.
    """
    with contextlib.chdir(args.folder):
        spec = load_run_spec(args.spec, _words(args.overrides))
        return build_application(spec, catalog_of(spec))


def _words(overrides: str) -> list[str]:
    try:
        return shlex.split(overrides)
    except ValueError as error:
        raise SpecError(
            f"found overrides={overrides!r}: {error}; wanted path=value pairs with spaces between "
            "them, quoted as in a shell"
        ) from error
