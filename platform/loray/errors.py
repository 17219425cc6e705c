"""Every error that loray raises on purpose.

LorayError
    SpecError             the YAML or a value in it is wrong; nothing was started
    SourceError           a corpus file is missing, unreadable or over its budget of bad rows
    DatasetError          curation left something that cannot be trained on
    ModelError            a base model or tokenizer cannot be used
        UnsupportedError  loray does not know its kind, or not what the spec asks of it
    AdapterError          adapter files are damaged, unsafe or made for another base
        AdapterNotFoundError
    ArtifactError         an artifact's files and its manifest disagree
    TrainingError         training ended without a usable adapter
    EvaluationError       a checkpoint could not be scored
    RegistryError         the registry refused
        AliasMovedError   another writer moved the alias first
        NameRefusedError  a name or version that the registry cannot hold
    LeaseError            another process is working on the same stage
    ClusterError          a cluster's nodes would not do the same work
    RequestError          a serving request is malformed (HTTP 400)
    EngineError           the inference engine failed or is closed (HTTP 503)

A message says what was found, what was wanted, and what to do. Errors of libraries pass through
unless we can add the field, the file or the remedy.
"""

from collections.abc import Sequence


class LorayError(Exception):
    """The root of the tree; the command line prints it without a traceback."""


class SpecError(LorayError):
    """A spec that cannot be run; the message lists every fault with file, line and path."""

    def __init__(self, message: str, faults: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)
        """`loray.spec.faults.Fault`, one for each line of the message; empty outside loading."""


class SourceError(LorayError):
    """A source of rows is missing, unreadable, or over its budget of bad rows."""


class DatasetError(LorayError):
    """Curation left nothing to learn from, or a row that would teach the wrong thing."""


class ModelError(LorayError):
    """A base model or tokenizer is missing or cannot be used as asked."""


class UnsupportedError(ModelError):
    """A base model of a kind that loray does not know, or not with what the spec asks of it."""


class AdapterError(LorayError):
    """Adapter files are damaged, unsafe, or made for another base model."""


class AdapterNotFoundError(AdapterError):
    """No adapter of that name, version or alias."""


class ArtifactError(LorayError):
    """An artifact's files and its manifest disagree."""


class TrainingError(LorayError):
    """Training ended without a usable adapter."""


class EvaluationError(LorayError):
    """A checkpoint could not be scored."""


class RegistryError(LorayError):
    """The registry refused a change; nothing was written."""


class AliasMovedError(RegistryError):
    """Another writer moved the alias since it was read; read again and decide again."""


class NameRefusedError(RegistryError):
    """A name, version or alias of a form that the registry cannot hold."""


class LeaseError(LorayError):
    """Another live process holds the stage; wait for it, or stop it first."""


class ClusterError(LorayError):
    """A cluster's nodes differ in their libraries, or do not share what they must share."""


class RequestError(LorayError):
    """A serving request is malformed; answered with HTTP 400."""


class EngineError(LorayError):
    """The inference engine failed or is closed; the request itself may be sound (HTTP 503)."""
