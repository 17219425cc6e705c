"""Keys of the leases that runs hold beside those on stages."""

from pathlib import Path

PUBLISHING = "publish:"
"""Begins the key of whoever publishes under a name, which follows."""
RATES = "rates/"
"""Begins the key of a search of learning rates; a spec's name and the search's mark follow."""


def rates_key(name: str, mark: str) -> str:
    """The key of a search; its work folder is `rates-<mark>`."""
    return f"{RATES}{name}-{mark}"


def run_of(key: str) -> str:
    """The name of the spec whose run holds a lease."""
    if key.startswith(PUBLISHING):
        return key.removeprefix(PUBLISHING)
    return Path(key).name.rpartition("-")[0]


def is_search_of(key: str, folder: str) -> bool:
    """Whether a lease is that of the search which works in a folder."""
    return key.startswith(RATES) and folder == f"rates-{key.rpartition('-')[2]}"
