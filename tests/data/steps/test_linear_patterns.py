"""Every pattern of `pii` and `credentials` takes time linear in its input."""

import re
import time

import pytest

from loray.data.steps import credentials, pii
from loray.data.steps.credentials_values import is_made_up, is_password
from loray.data.steps.placeholders import Entity, scrub
from tests.data.steps.credential_rows import found
from tests.data.steps.pii_rows import FOUND

PII = pii.entities_named(pii.KINDS)
CREDENTIALS = credentials.credentials_named(credentials.KINDS)
MARKED = re.compile("~~(.+?)~~", re.S)
SMALL, FACTOR = 2_500, 4
LIMIT_S = 0.015
"""A linear pattern is through with a large text in a few milliseconds."""

FRAGMENTS = [
    "-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN A B C PRIVATE KEY-----", "-----BEGIN ",
    "Private-Lines: 1\nAAAA", "Private-Lines: 1\n" + "A" * 32, "eyJ" + "a" * 20 + ".", "eyJ",
    "eyJaaa.", "a@", "a@b.", "a.b.", "@a.b", "a[at]", "a[at]b[dot]", "a (at) ", "(at)", "x%40",
    "a-", "+1", "+1 ", "+(1)", "1", "1 ", "1-", "(1)", "0049 ", "00", "01 42 ", "x123", "tel ",
    "Phone: ", "tel:1", "4111 ", "4111", "4111-1111-", "card ", "DE89", "DE89 3704 ", "de89",
    "219-09-", "1.", "1:", "2a02:", "ff:", "ffff.", "0x", "0xf", "bc1q", "1A", "://", "a://",
    "a://b:", "a://b:c#", "a://b:c@", "://a:b", ";Password=", ";Password=a", "Password=aaaaaa;A",
    "UID=a;", "oracle:thin:a/", "sqlplus -a -a ", "password", "passwordX", "password_a",
    "password=", "password = ", "password: ", 'password="', "pass", "PASS_", "token_", "secretA",
    "api_key", "secret\n ", "password is ", 'variable "password" {', "variable \"",
    "define('KEY','", "define(", "<password>", "<password ", "<pass", "login(", 'login("a",',
    "login(a,", "connect(\"", "machine a login b ", "machine ", "login a password ", "user a ",
    "password\t", "\t", " ", "\n", "\n ", ":5432:", "a:5432:b:c:", "auth: ", "_authToken=",
    "kind: Secret\n", "kind: Secret\ndata:\n a: AAAAAAAA\n", "mysql ", "mysql -p", "mysql a ",
    "curl ", "curl -u ", "curl -u a:", "curl \\\n", "sshpass -p ", "--password ",
    "--a-a-a-password", "docker login ", "echo a | ", "echo ", "redis-cli ", "7z a ", "unzip ",
    "htpasswd -b ", "$6$", "$6$a$", "$1$a$" + "a" * 21, "{SSHA}", "pbkdf2_sha256$", "a:1:",
    "$2y$10$", "$argon2i$m=1,t=1,p=1$", "Authorization: ", "Authorization: Basic ", "Bearer ",
    "bearer a", "x-x-x-", "X-Api-Key: ", "aws_", "A" * 39 + "/", "ghp_", "sk-", "AccountKey=",
    "?sig=", "glpat-", "a" * 15, "A1b2", "&", "'", '"', "`", "<", ">", "=", "==", "\\",
]  # fmt: skip


def seconds(entity: Entity, text: str) -> float:
    """The least of three times of the pattern and its check on every match."""
    times = []
    for _ in range(3):
        began = time.process_time()
        for match in entity.pattern.finditer(text):
            entity.is_real(match)
        times.append(time.process_time() - began)
        if times[-1] < LIMIT_S:
            break
    return min(times)


def is_linear(entity: Entity, fragment: str, tail: str = "") -> bool:
    """Whether four times the text takes less than eight times the time, where it takes any."""
    small, large = (fragment * (size // len(fragment)) + tail for size in (SMALL, FACTOR * SMALL))
    if (longest := seconds(entity, large)) < LIMIT_S:
        return True
    return longest < 2 * FACTOR * max(seconds(entity, small), LIMIT_S / FACTOR)


@pytest.mark.parametrize("at", range(len(PII) + len(CREDENTIALS)))
def test_a_pattern_is_linear_in_what_nearly_matches(at):
    entity = [*PII, *CREDENTIALS][at]
    assert [fragment for fragment in FRAGMENTS if not is_linear(entity, fragment)] == []


@pytest.mark.parametrize("kind", [*pii.KINDS, *credentials.KINDS])
def test_a_pattern_is_linear_in_what_it_finds(kind):
    entities = {**pii.ENTITIES, **credentials.ENTITIES}[kind]
    texts = FOUND.get(kind, [])[:4] or found(kind, 0)[:4]
    for text in (MARKED.sub(r"\1", text) for text in texts):
        for entity in entities:
            for fragment in (text, f"{text} ", f"{text}\n", text[: len(text) * 2 // 3]):
                assert is_linear(entity, fragment, "!"), (entity.pattern.pattern, fragment)


def test_repeated_headers_of_keys_take_no_time():
    """Three thousand took 3.4 seconds: each was read to the end of the text."""
    text = "-----BEGIN RSA PRIVATE KEY-----\n" * 6000
    began = time.process_time()
    assert scrub(text, CREDENTIALS, b"") == text
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "value", ["1357913579" * 19 + "z", "pass" * 49 + "!z", "p-" * 99, "sha1" * 49 + "z"]
)
def test_whether_a_value_is_made_up_is_known_at_once(value):
    """Digits that could be cut in many ways took longer than anybody waits."""
    began = time.process_time()
    is_made_up(value)
    is_password(value)
    assert time.process_time() - began < 0.5
