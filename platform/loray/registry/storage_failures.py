"""What a failure of the disk or of S3 means, and what to do about it, in words."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from loray.errors import RegistryError

_LOCAL = {
    errno.ENOSPC: "the disk is full; free some space, then run the command again",
    errno.EDQUOT: "the disk quota is used up; free some space, then run the command again",
    errno.EFBIG: "the file would exceed the limit on its size; raise it (ulimit -f)",
    errno.EROFS: "the file system is mounted read-only; mount it for writing, or name another "
    "place",
    errno.EACCES: "this user may not do that; give it the right to (chmod, chown), or run as "
    "the user who owns the registry",
    errno.EPERM: "this user may not do that; give it the right to (chmod, chown, chattr), or run "
    "as the user who owns the registry",
    errno.ENOENT: "it is not there and cannot be made; check the path, or name another place",
    errno.ENOTDIR: "a part of the path is a file, wanted a folder; name another place, or move "
    "the file away",
    errno.EEXIST: "there is a file or a broken link, wanted a folder; name another place, or move "
    "it away",
    errno.EISDIR: "there is a folder, wanted a file; move it away",
    errno.EIO: "the disk failed to read or write; check it (dmesg), then run `loray registry fsck`",
    errno.ELOOP: "a link leads back to itself; remove it",
    errno.ENAMETOOLONG: "the path is too long; name a shorter one",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ESTALE: "the network file system lost the folder; mount it again",
}
_REFUSED = (
    "S3 refused the credentials; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the profile, "
    "and what they may do with the bucket"
)
_SILENT = "S3 does not answer; check the network and AWS_ENDPOINT_URL, then try again"
_NO_BUCKET = "the bucket is not there; create it, or name another root"
_S3 = {
    "NO_SUCH_BUCKET": _NO_BUCKET,
    "NoSuchBucket": _NO_BUCKET,
    "bucket does not exist": _NO_BUCKET,
    "ACCESS_DENIED": _REFUSED,
    "AccessDenied": _REFUSED,
    "INVALID_ACCESS_KEY": _REFUSED,
    "InvalidAccessKeyId": _REFUSED,
    "INVALID_CLIENT_TOKEN": _REFUSED,
    "SIGNATURE_DOES_NOT_MATCH": _REFUSED,
    "SignatureDoesNotMatch": _REFUSED,
    "EXPIRED_TOKEN": _REFUSED,
    "ExpiredToken": _REFUSED,
    "code 401": _REFUSED,
    "code 403": _REFUSED,
    "NETWORK_CONNECTION": _SILENT,
    "curlCode": _SILENT,
    "timed out": _SILENT,
    "SERVICE_UNAVAILABLE": _SILENT,
    "SLOW_DOWN": _SILENT,
    "INTERNAL_FAILURE": _SILENT,
}
"""What Arrow's messages hold, for its exceptions carry no code, and what to do about it."""


def storage_failure(error: OSError) -> RegistryError:
    """An error of ours that says what failed, where, and what to do."""
    where = " to ".join(str(name) for name in (error.filename, error.filename2) if name)
    text = " ".join(str(error).split())[:400]
    if isinstance(error.errno, int) and error.errno in _LOCAL and "AWS" not in text:
        place = f" {where}" if where else ""
        return RegistryError(
            f"the registry's storage failed{' at' if place else ''}{place}: {_LOCAL[error.errno]}"
        )
    for mark, remedy in _S3.items():
        if mark in text:
            return RegistryError(f"the registry's storage failed: {remedy} ({text})")
    return RegistryError(
        f"the registry's storage failed: {text}; check the storage root, then try again"
    )


@contextmanager
def explaining_storage_failures() -> Iterator[None]:
    """Turn what the disk or S3 raises within the block into an error of ours.

    Raises:
        RegistryError: the disk or S3 failed.
    """
    try:
        yield
    except OSError as error:
        raise storage_failure(error) from error
