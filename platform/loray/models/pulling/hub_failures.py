"""What to say of what the hub's client raises."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from loray.errors import LorayError, ModelError, SpecError

TOLD_CHARS = 200


@contextmanager
def hub_failures(repo: str, revision: str | None) -> Iterator[None]:
    """Raise what the hub's client raises in the body as errors of ours.

    Raises:
        SpecError: there is no such repository or revision.
        ModelError: the rest.
    """
    try:
        yield
    except (OfflineModeIsEnabled, HfHubHTTPError, httpx2.HTTPError) as error:
        raise _said(error, repo, revision) from error


def _said(error: Exception, repo: str, revision: str | None) -> LorayError:
    page = f"{constants.ENDPOINT}/{repo}"
    match error:
        case RevisionNotFoundError():
            return SpecError(
                f"{repo} has no revision {revision!r}; wanted a branch, tag or commit of it; see "
                f"{page}/commits/main, or leave it out for the newest"
            )
        case RepositoryNotFoundError() if not isinstance(error, GatedRepoError):
            token = "the token in use may not see it" if get_token() else "no token is set"
            return SpecError(
                f"the hub shows no model {repo} ({token}); correct the name, or set HF_TOKEN to a "
                "token that may read it, if it is private"
            )
    return ModelError(_words(error, repo, page))


def _words(error: Exception, repo: str, page: str) -> str:
    match error:
        case OfflineModeIsEnabled():
            name = "HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "TRANSFORMERS_OFFLINE"
            return (
                f"{name} is set, so the hub is not asked for {repo}; unset it for this command, or "
                "pull on a machine with network and bring the folder here (`loray model pull "
                f"{repo} FOLDER`)"
            )
        case GatedRepoError():
            return _gated(repo, page)
        case DisabledRepoError():
            return f"{repo} was disabled by the hub; see {page}; name another model"
        case HfHubHTTPError():
            return _refused(error, repo)
        case httpx2.ProxyError():
            return (
                f"the proxy refused to reach {constants.ENDPOINT} ({_short(error)}); correct "
                "HTTPS_PROXY, then run this again: it goes on where it stopped"
            )
    return (
        f"{constants.ENDPOINT} cannot be reached ({_short(error)}); check the network, HTTPS_PROXY "
        "and HF_ENDPOINT, then run this again: it goes on where it stopped; a machine without "
        "network can use a folder that was pulled elsewhere"
    )


def _gated(repo: str, page: str) -> str:
    if get_token() is None:
        return (
            f"{repo} is gated, and no token is set; accept its licence at {page} with your "
            "account, make a read token there (Settings, Access Tokens), and run this again with "
            "HF_TOKEN=..."
        )
    return (
        f"{repo} is gated, and the account of HF_TOKEN is not on its list; accept its licence at "
        f"{page} and wait until that is granted; a fine-grained token needs read access to gated "
        "repositories"
    )


def _refused(error: HfHubHTTPError, repo: str) -> str:
    code = error.response.status_code
    remedy = {
        401: "the token is not valid: correct HF_TOKEN, or log in again",
        403: "give the token of HF_TOKEN read access to it",
        429: "too many requests: wait some minutes, or set HF_TOKEN",
    }.get(code, "run this again later: it goes on where it stopped")
    return f"the hub answers {code} for {repo} ({_short(error)}); {remedy}"


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:TOLD_CHARS]
