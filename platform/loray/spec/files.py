"""What a spec names on this machine's disk, looked for before anything starts; S3 is not asked."""

import re
from collections.abc import Iterator
from pathlib import Path

from loray.spec.base import Finding
from loray.spec.data import DataSpec
from loray.spec.local_files import list_local
from loray.spec.run import RunSpec, StorageSpec
from loray.spec.sources import Source
from loray.spec.steps import DecontaminationStep, ToxicityStep
from loray.spec.train import BaseModelSpec

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def check_files(spec: RunSpec) -> tuple[Finding, ...]:
    """What `spec` names and this machine lacks; empty when all is there."""
    return tuple(check_blocks(spec.base_model, spec.data, spec.storage))


def check_blocks(
    base_model: BaseModelSpec, data: DataSpec, storage: StorageSpec
) -> Iterator[Finding]:
    """The same, from the three blocks that name files."""
    yield from _check_base_model(base_model)
    for number, source in enumerate(data.sources):
        yield from _check_source(f"data.sources.{number}.uri", source)
    if data.replay is not None:
        yield from _check_source("data.replay.source.uri", data.replay.source)
    for number, step in enumerate(data.steps):
        if isinstance(step, DecontaminationStep):
            for at, source in enumerate(step.against):
                yield from _check_source(f"data.steps.{number}.against.{at}.uri", source)
        elif isinstance(step, ToxicityStep) and step.words is not None:
            yield from _check_words(f"data.steps.{number}.words", step.words)
    yield from _check_storage(storage)


def _check_base_model(base_model: BaseModelSpec) -> Iterator[Finding]:
    folder = Path(base_model.path)
    if folder.is_dir():
        if base_model.revision is not None:
            yield Finding(
                "base_model.revision",
                f"found a revision, but {base_model.path} is a local folder, whose bytes are its "
                "identity; remove the revision",
            )
        if not (folder / "config.json").is_file():
            yield Finding("base_model.path", _what_instead(folder))
    elif base_model.revision is None or not _HUB_ID.fullmatch(base_model.path):
        yield Finding("base_model.path", _no_base(base_model.path))
    elif not _COMMIT.fullmatch(base_model.revision):
        yield Finding(
            "base_model.revision",
            f"found {base_model.revision[:60]!r}; wanted a full commit of 40 hex digits, since "
            "branches and tags move; copy it from the model's history on the hub",
        )


def _no_base(path: str) -> str:
    """What a path that is no folder is, and what to do."""
    wanted = "wanted a model's folder, or a hub id with base_model.revision (a commit)"
    if Path(path).is_file():
        return f"found the file {path}; {wanted}; name the folder of a model's files"
    if path.startswith("~/"):
        return f"found {path}; {wanted}; write the home folder out: {Path(path).expanduser()}"
    where = "" if Path(path).is_absolute() else f" under {_here()}"
    return f"found no folder {path}{where}; {wanted}; correct the path or add the revision"


def _what_instead(folder: Path) -> str:
    """What a folder without a config.json holds, and what to do."""
    found = f"found the folder {folder} without a config.json"
    wanted = "wanted a model as transformers saves it"
    if (folder / "adapter_config.json").is_file():
        return (
            f"{found}: it holds an adapter (adapter_config.json); {wanted}; name the base that it "
            "was trained on, and take the adapter in with `loray registry import`"
        )
    inner = sorted(path.parent.name for path in folder.glob("*/config.json"))
    if inner:
        return f"{found}, but its folders {', '.join(inner[:3])} have one; {wanted}; name that one"
    if any(folder.glob("*.gguf")):
        return f"{found}, only GGUF files; {wanted}; fetch the model that they were made from"
    return f"{found}; {wanted}; correct the path"


def _check_source(at: str, source: Source) -> Iterator[Finding]:
    if "://" not in source.uri and (fault := list_local(source).fault) is not None:
        yield Finding(at, fault)


def _check_words(at: str, path: str) -> Iterator[Finding]:
    if not Path(path).is_file():
        yield Finding(
            at,
            f"found no file {path} under {_here()}; wanted words, one a line; correct the path",
        )


def _check_storage(storage: StorageSpec) -> Iterator[Finding]:
    if "://" in storage.root:
        return
    root = Path(storage.root)
    there = next((path for path in (root, *root.parents) if path.exists()), None)
    if there is not None and not there.is_dir():
        what = "file" if there.is_file() else "device, pipe or socket"
        yield Finding(
            "storage.root",
            f"found the {what} {there}; wanted a folder, or a name that is free; correct it",
        )


def _here() -> str:
    """The working directory, which relative paths start from."""
    return str(Path.cwd())
