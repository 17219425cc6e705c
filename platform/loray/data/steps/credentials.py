"""Credentials in one text, replaced by typed placeholders such as `<SECRET_GITHUB_1f3a>`.

What is found has a public format, or stands where only a credential does. Bare strings that are
merely random stay: digests, identifiers and encoded data are no secrets, and far more common.
"""

from collections.abc import Iterable

from loray.data.steps.credentials_assignments import ASSIGNMENTS
from loray.data.steps.credentials_commands import COMMANDS, PIPED
from loray.data.steps.credentials_files import FILES
from loray.data.steps.credentials_formats import FORMATS
from loray.data.steps.credentials_hashes import HASHES
from loray.data.steps.credentials_headers import BASIC, BEARER
from loray.data.steps.credentials_keys import JWT, LONE_KEY, PRIVATE_KEY, PUTTY_KEY
from loray.data.steps.credentials_urls import IN_URLS
from loray.data.steps.credentials_vendors import VENDORS
from loray.data.steps.placeholders import Entities, Entity, scrub

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
    "vendor": "tokens of some thirty further issuers, such as Vault, Shopify, Telegram and Docker",
    "jwt": "JSON web tokens whose header decodes",
    "private_key": "PEM, PGP and PuTTY private keys, the whole block; a text that is one key",
    "password_hash": "hashes of passwords: crypt, bcrypt, Argon2, LDAP, Django and their like",
    "connection_string": "passwords and tokens in URLs and in `Server=...;Password=...` strings",
    "http_auth": "credentials in Authorization, X-Api-Key and similar headers",
    "login_file": "netrc, pgpass, Docker, npm and mail logins; values of Kubernetes secrets",
    "command": "passwords on command lines: `curl -u`, `mysql -p`, `--password`, `sshpass -p`",
    "assignment": "random values set to names such as `api_key`, chosen ones to `password`",
}
"""What a spec may name, and what it finds."""

_IN_ORDER = (
    PRIVATE_KEY, PUTTY_KEY, *FORMATS, *VENDORS, *HASHES, JWT, *IN_URLS, BASIC, BEARER, *FILES,
    *COMMANDS, *PIPED, *ASSIGNMENTS, LONE_KEY,
)  # fmt: skip
"""What tells its type comes first; assignments last."""
ENTITIES = {kind: tuple(e for e in _IN_ORDER if e.kind == kind) for kind in KINDS}


def credentials_named(names: Iterable[str]) -> Entities:
    """The entities of a spec, in the order in which they have to be looked for."""
    wanted = frozenset(names)
    return Entities(entity for entity in _IN_ORDER if entity.kind in wanted)
