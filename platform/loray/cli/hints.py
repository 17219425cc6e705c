"""Commands that messages name, completed by what the user gave, so that they work when pasted."""

import re
import shlex
from dataclasses import dataclass

import click

from loray.spec.database_url import check_database_url

KEY = "loray.given"
_OF_REGISTRY = re.compile(r"\bloray registry (?=[a-z])")
_OF_SPEC = re.compile(
    r"`loray (apply|plan|validate|report|data (?:preview|report|quarantine list))`"
)
_PLACEHOLDER = re.compile(r"(`loray [^`]*?)\bSPEC\b")
_STORAGE = {"storage.registry": "--url", "storage.root": "--root"}


@dataclass
class Given:
    """What a command line says of where things are."""

    spec: str | None = None
    url: str | None = None
    root: str | None = None
    overrides: tuple[str, ...] = ()
    """Of the spec: `PATH=VALUE` each."""

    @property
    def of_registry(self) -> str:
        """The options of `loray registry` that lead to the same registry, quoted for a shell."""
        moved = dict(pair.partition("=")[::2] for pair in self.overrides)
        named = {option: moved[path] for path, option in _STORAGE.items() if path in moved}
        named |= {o: v for o, v in (("--url", self.url), ("--root", self.root)) if v}
        if "--url" in named and not _may_be_shown(named["--url"]):
            del named["--url"]
        first = [] if self.spec is None else ["--spec", self.spec]
        return shlex.join([*first, *(word for pair in named.items() for word in pair)])

    @property
    def of_spec(self) -> str:
        """The spec and its overrides, quoted for a shell; empty where none was given."""
        if self.spec is None:
            return ""
        return shlex.join([self.spec, *(w for each in self.overrides for w in ("--set", each))])


def given(context: click.Context) -> Given:
    """What the command line of `context` says; its options write it down as they are read."""
    found: Given = context.meta.setdefault(KEY, Given())
    return found


def completed(text: str) -> str:
    """`text`, the commands in it with the spec, database and root of the command that runs."""
    context = click.get_current_context(silent=True)
    return text if context is None else completed_by(text, given(context))


def completed_by(text: str, known: Given) -> str:
    """`text`, the commands in it with what is known."""
    if options := known.of_registry:
        text = _OF_REGISTRY.sub(lambda _: f"loray registry {options} ", text)
    if spec := known.of_spec:
        text = _OF_SPEC.sub(lambda found: f"`loray {found[1]} {spec}`", text)
        text = _PLACEHOLDER.sub(lambda found: f"{found[1]}{spec}", text)
    return text


def _may_be_shown(url: str) -> bool:
    """Whether a URL is one that holds no secret."""
    try:
        check_database_url(url)
    except ValueError:
        return False
    return True
