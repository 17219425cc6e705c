"""What the process says when it ends.

0    done
1    something failed on the way: a stage, the registry, a server; apply again to continue
2    the spec or the command line is wrong, or asks what its base model cannot; nothing was started
3    another live process works on the same stage; wait for it, or stop it
4    a gate refused the adapter: it is registered, and the alias stayed where it was
5    `loray plan`: a worker does not fit the device that was asked about
130  interrupted from the keyboard (SIGINT)
143  told to end (SIGTERM)
"""

from enum import IntEnum

from loray.errors import LeaseError, LorayError, SpecError, UnsupportedError


class Exit(IntEnum):
    """Exit codes of `loray` and of the jobs."""

    DONE = 0
    FAILED = 1
    WRONG_SPEC = 2
    LEASE_HELD = 3
    REFUSED_BY_GATE = 4
    DOES_NOT_FIT = 5
    INTERRUPTED = 130
    TERMINATED = 143


def exit_for(error: LorayError) -> Exit:
    """The exit code that tells a script what kind of error ended the command."""
    match error:
        case SpecError() | UnsupportedError():
            return Exit.WRONG_SPEC
        case LeaseError():
            return Exit.LEASE_HELD
        case _:
            return Exit.FAILED
