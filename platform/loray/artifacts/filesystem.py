"""One way to reach local disk and S3: `pyarrow.fs`."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow.fs import FileSystem, LocalFileSystem, S3FileSystem

from loray.errors import SpecError

CONNECT_TIMEOUT_SECONDS = 10
REQUEST_TIMEOUT_SECONDS = 30


def open_filesystem(
    uri: str,
    *,
    endpoint: str | None = None,
    region: str | None = None,
    request_seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> tuple[FileSystem, str]:
    """The file system of `uri` and the path within it.

    Args:
        uri: a local path, absolute or relative to the working directory, or `s3://bucket/key`.
        endpoint: URL of an S3-compatible server; `AWS_ENDPOINT_URL` when not given.
        region: `AWS_REGION` when not given.
        request_seconds: how long a server may be silent before it is asked again, three times in
            all; a process cannot end before its last request has.

    Raises:
        SpecError: another scheme, or credentials inside the URI.
    """
    if "://" not in uri:
        return LocalFileSystem(), str(Path(uri).absolute())
    parts = urlsplit(uri)
    if parts.username or parts.password:
        raise SpecError(
            f"an {parts.scheme}:// URI holds credentials; take them out and put them in the "
            "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        )
    if parts.scheme != "s3" or not parts.netloc:
        raise SpecError(f"{uri!r} is neither a local path nor s3://bucket/key; use one of these")
    return _s3(endpoint, region, request_seconds), f"{parts.netloc}{parts.path}".rstrip("/")


def _s3(endpoint: str | None, region: str | None, request_seconds: float) -> FileSystem:
    """S3 with deadlines; credentials come from where AWS's own tools look for them."""
    url = urlsplit(endpoint or os.environ.get("AWS_ENDPOINT_URL", ""))
    return S3FileSystem(
        endpoint_override=url.netloc or None,
        scheme=url.scheme or "https",
        region=region or os.environ.get("AWS_REGION", "us-east-1"),
        connect_timeout=min(CONNECT_TIMEOUT_SECONDS, request_seconds),
        request_timeout=request_seconds,
    )
