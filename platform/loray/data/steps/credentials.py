"""Credentials in one text, replaced by typed placeholders such as `<SECRET_GITHUB_1f3a>`.

What is found has a public format, or stands where only a credential does. Bare strings that are
merely random stay: digests, identifiers and encoded data are no secrets, and far more common.
"""

from collections.abc import Iterable

from loray.data.steps.credentials_formats import FORMATS
from loray.data.steps.credentials_places import PLACES
from loray.data.steps.placeholders import Entity, scrub

__all__ = ["ENTITIES", "KINDS", "Entity", "credentials_named", "scrub"]

KINDS = {
    "aws": "AWS access key ids, and secret keys beside one or beside their name",
    "github": "GitHub tokens: personal, OAuth, app, refresh, fine-grained",
    "gitlab": "GitLab tokens: personal, deploy, runner, trigger, feed, agent",
    "slack": "Slack tokens and webhook paths",
    "stripe": "Stripe secret and restricted keys, webhook secrets",
    "google": "Google API keys, OAuth client secrets and access tokens",
    "openai": "OpenAI keys",
    "anthropic": "Anthropic keys",
    "huggingface": "Hugging Face tokens",
    "npm": "npm access tokens",
    "pypi": "PyPI and TestPyPI upload tokens",
    "twilio": "Twilio account and key ids, and the auth token beside one",
    "sendgrid": "SendGrid keys",
    "azure": "Azure storage and bus keys, signatures of shared-access URLs",
    "jwt": "JSON web tokens whose header decodes",
    "private_key": "PEM and PGP private keys, the whole block",
    "connection_string": "passwords in URLs and in `Server=...;Password=...` strings",
    "http_auth": "credentials in Authorization and X-Api-Key headers",
    "assignment": "random values set to names such as `password` or `api_key` in code",
}
"""What a spec may name, and what it finds."""

_IN_ORDER = (PLACES[0], *FORMATS, *PLACES[1:])
ENTITIES = {kind: tuple(e for e in _IN_ORDER if e.kind == kind) for kind in KINDS}


def credentials_named(names: Iterable[str]) -> tuple[Entity, ...]:
    """The entities of a spec, in the order in which they have to be looked for."""
    wanted = frozenset(names)
    return tuple(entity for entity in _IN_ORDER if entity.kind in wanted)
