"""`pull` of a hub id: into the hub's own cache, or into a folder."""

import json
import re
import shutil
from pathlib import Path

from loray.errors import ModelError
from loray.models.hub_cache import blob_sha256, cache_folder, repository_folder, snapshot_folder
from loray.models.pulling.hub import HubFile, HubModel, fetch_file, look_up
from loray.models.pulling.provenance import (
    Provenance,
    digests_of,
    read_provenance,
    write_provenance,
)
from loray.models.pulling.pull import MADE, Probe, Pulled, Report, check_whole
from loray.models.pulling.sources import HubSource
from loray.models.pulling.staging import check_room, commit, is_free, other_content, staging
from loray.models.support import check_supported

COMMIT = re.compile(r"[0-9a-f]{40}")


def pull_hub(source: HubSource, folder: Path | None, *, probe: Probe, report: Report) -> Pulled:
    """A model of the hub: in `folder`, or in the hub's cache, where transformers looks for it.

    Doing it twice changes nothing; what a killed pull left is gone on with.

    Raises:
        SpecError: the folder holds something else, or there is no such model or revision.
        ModelError: the hub cannot be reached or does not give it.
        UnsupportedError: loray can neither train nor serve it; nothing but its config was fetched.
        LeaseError: another process pulls the same model.
        OSError: of the disk.
    """
    from huggingface_hub.utils import logging  # noqa: PLC0415 (half a second; only here)

    logging.set_verbosity_error()  # it tells of every try
    if folder is not None:
        return _to_folder(source, folder, report)
    return _to_cache(source, probe, report)


def _to_folder(source: HubSource, folder: Path, report: Report) -> Pulled:
    """Plain files, with the card, the licence and the provenance."""
    there = read_provenance(folder)
    if there is None and not is_free(folder):
        raise other_content(folder)
    if there is not None:
        revision = source.revision or there.revision
        if revision != there.revision and there.source == source.repo:
            revision = look_up(source).commit
        if (there.source, there.revision) != (source.repo, revision):
            raise other_content(folder)
        check_whole(folder, there)
        return Pulled(folder, there, is_new=False)
    model = look_up(source)
    with staging(folder) as stage:
        made = stage / MADE
        _check_config(model, stage, report)
        have = sum(p.stat().st_size for p in made.rglob("*") if p.is_file())
        check_room(stage, model.num_bytes - have)
        report(_words(model))
        for file in model.files:
            fetch_file(model, file, made / file.name, report=report)
        found = _provenance(model, digests_of(made))
        write_provenance(made, found)
        commit(stage, made, folder)
    return Pulled(folder, found, is_new=True)


def _to_cache(source: HubSource, probe: Probe, report: Report) -> Pulled:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415

    from loray.models.pulling.hub_failures import hub_failures  # noqa: PLC0415

    if source.revision is not None and COMMIT.fullmatch(source.revision):
        there = snapshot_folder(source.repo, source.revision)
        if (there / "config.json").is_file() and not probe(there):  # the hub need not be asked
            found = Provenance(source=source.repo, revision=source.revision, files={})
            return Pulled(there, found, is_new=False)
    model = look_up(source)
    folder = snapshot_folder(model.repo, model.commit)
    found = _provenance(model, {file.name: file.etag for file in model.files})
    if all(_is_linked(folder / file.name, file) for file in model.files):
        return Pulled(folder, found, is_new=False)
    blobs = cache_folder() / repository_folder(model.repo) / "blobs"
    with staging(blobs.parent) as stage:
        _check_config(model, stage, report)
        blobs.mkdir(parents=True, exist_ok=True)
        check_room(blobs, sum(f.size for f in model.files if not (blobs / f.etag).is_file()))
        report(_words(model))
        for file in model.files:  # the config is the last, and makes the rest a model
            fetch_file(model, file, blobs / file.etag, report=report)
            with hub_failures(model.repo, model.commit):  # finds the blob, and links to it
                hf_hub_download(
                    model.repo, file.name, revision=model.commit, cache_dir=cache_folder()
                )
        shutil.rmtree(stage, ignore_errors=True)
    return Pulled(folder, found, is_new=True)


def _check_config(model: HubModel, stage: Path, report: Report) -> None:
    """Before gigabytes are downloaded.

    Raises:
        UnsupportedError: loray can neither train nor serve such a model.
    """
    path = stage / "config.json"
    fetch_file(model, model.files[-1], path, report=report)
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise ModelError(
            f"config.json of {model.repo} is not JSON ({error}); name another repository"
        ) from error
    check_supported(config if isinstance(config, dict) else {})


def _is_linked(path: Path, file: HubFile) -> bool:
    """Whether a snapshot has the file, whole: by its blob's name and size."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    return file.sha256 is None or blob_sha256(path) in (None, file.sha256)


def _provenance(model: HubModel, files: dict[str, str]) -> Provenance:
    return Provenance(
        source=model.repo,
        revision=model.commit,
        source_digests={},
        licence=model.licence,
        files=files,
    )


def _words(model: HubModel) -> str:
    return (
        f"downloading {len(model.files)} files ({model.num_bytes / 1e6:,.0f} MB) of {model.repo} "
        f"at commit {model.commit[:12]}; {model.left_out} others are not needed"
    )
