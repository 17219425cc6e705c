"""Credentials drawn from a seed in their public formats: no live key, nor one in this file.

In what `found` gives, a value that must go stands in ~~ ~~; what `kept` gives must stay whole.
"""

import base64
import json
import random
import re
import string
from collections.abc import Callable

ALNUM = string.ascii_letters + string.digits
URLSAFE = ALNUM + "-_"
BASE64 = ALNUM + "+/"
HEX = "0123456789abcdef"
CRYPT = ALNUM + "./"
UPPER = string.ascii_uppercase + "234567"

AROUND = (
    "{}", "key: {}", "'{}'", '"{}",', "({})", "use {} for it", "{}\n", "\t{}", "| {} |", "`{}`",
    'x = "{}"', "--key {}", "<b>{}</b>", "{}; done", "it is {}, yes", "[{}]", "is it {}?", "\n{}\n",
    'f("{}")', "{} {{}}",
)  # fmt: skip
"""Surroundings that change no value of any format."""


class Draw:
    """Random strings with a seed; each holds a letter of each case and digits where it can."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def __call__(self, length: int, letters: str = ALNUM) -> str:
        while True:
            text = "".join(self.random.choices(letters, k=length))
            kinds = [string.ascii_lowercase, string.ascii_uppercase, string.digits]
            wanted = [kind for kind in kinds if set(kind) & set(letters)]
            is_mixed = all(set(kind) & set(text) for kind in wanted) and text[-1] in ALNUM
            if length < 20 or (is_mixed and sum(c.isdigit() for c in text) >= 3):
                return text


def part(value: object) -> str:
    """One part of a JSON web token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def jwt(draw: Draw) -> str:
    header = {"alg": draw.random.choice(["HS256", "RS256", "ES384"]), "typ": "JWT"}
    return f"{part(header)}.{part({'sub': draw(9), 'exp': 1})}.{draw(43, URLSAFE)}"


def pem(draw: Draw) -> str:
    kind = draw.random.choice(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
    lines = "\n".join(draw(64, BASE64) for _ in range(4))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def basic(draw: Draw) -> str:
    return base64.b64encode(f"ada:{draw(15)}".encode()).decode()


def escaped_pem(draw: Draw) -> str:
    return "-----BEGIN PRIVATE KEY-----\\n" + draw(64, BASE64) + "\\n-----END PRIVATE KEY-----"


def tagged(tag: str, length: int, letters: str) -> Callable[[Draw], str]:
    """A maker of `tag` with `length` random letters behind it."""
    return lambda draw: tag + draw(length, letters)


TOKENS: dict[str, tuple[Callable[[Draw], str], ...]] = {
    "aws": (lambda d: "AK" + "IA" + d(16, UPPER), lambda d: "AS" + "IA" + d(16, UPPER)),
    "github": (
        *(tagged(f"gh{letter}_", 36, ALNUM) for letter in "pousr"),
        lambda d: "github_" + "pat_" + d(22) + "_" + d(59),
    ),
    "gitlab": tuple(tagged(f"gl{kind}-", 20, URLSAFE) for kind in ("pat", "dt", "rt", "ptt")),
    "slack": (
        lambda d: "xox" + "b-" + d(12, "123456789") + "-" + d(12, "123456789") + "-" + d(24),
        lambda d: "xox" + "p-" + "-".join(d(11, "123456789") for _ in range(3)) + "-" + d(32, HEX),
        lambda d: "xapp-" + "1-A" + d(10, UPPER) + "-" + d(13, "123456789") + "-" + d(64, HEX),
    ),
    "stripe": (
        lambda d: "sk_" + "live_" + d(24),
        lambda d: "rk_" + "live_" + d(99),
        lambda d: "sk_" + "test_" + d(34),
        lambda d: "whsec" + "_" + d(32),
    ),
    "google": (lambda d: "AI" + "za" + d(35, URLSAFE), lambda d: "GOC" + "SPX-" + d(28, URLSAFE)),
    "openai": (
        lambda d: "sk-" + d(20) + "T3Blbk" + "FJ" + d(20),
        lambda d: "sk-" + "proj-" + d(74, URLSAFE),
        lambda d: "sk-" + "svcacct-" + d(120, URLSAFE),
    ),
    "anthropic": (
        lambda d: "sk-" + "ant-api03-" + d(93, URLSAFE) + "AA",
        lambda d: "sk-" + "ant-admin01-" + d(93, URLSAFE) + "AA",
    ),
    "huggingface": (lambda d: "hf" + "_" + d(34), lambda d: "api_" + "org_" + d(34)),
    "npm": (lambda d: "np" + "m_" + d(36),),
    "pypi": (
        lambda d: "pypi-" + "AgEIcHlwaS5vcmc" + d(150, URLSAFE),
        lambda d: "pypi-" + "AgENdGVzdC5weXBpLm9yZw" + d(150, URLSAFE),
    ),
    "twilio": (lambda d: "A" + "C" + d(32, HEX), lambda d: "S" + "K" + d(32, HEX)),
    "sendgrid": (lambda d: "S" + "G." + d(22, URLSAFE) + "." + d(43, URLSAFE),),
    "jwt": (jwt,),
    "private_key": (pem, escaped_pem),
    "vendor": (
        lambda d: "hv" + "s." + d(95, URLSAFE),
        lambda d: "dop_" + "v1_" + d(64, HEX),
        lambda d: "shp" + "at_" + d(32, HEX),
        lambda d: "lin_" + "api_" + d(40),
        lambda d: "glsa" + "_" + d(32),
        lambda d: "dckr_" + "pat_" + d(27),
        lambda d: "gs" + "k_" + d(52),
        lambda d: "PM" + "AK-" + d(24, HEX) + "-" + d(34, HEX),
        lambda d: d(10, "123456789") + ":A" + "A" + d(33, URLSAFE),
        lambda d: "sk-" + "or-v1-" + d(64, HEX),
    ),
    "password_hash": (
        lambda d: "$" + "6$" + d(16) + "$" + d(86, CRYPT),
        lambda d: "$" + "5$rounds=5000$" + d(16) + "$" + d(43, CRYPT),
        lambda d: "$" + "1$" + d(8) + "$" + d(22, CRYPT),
        lambda d: "$" + "apr1$" + d(8) + "$" + d(22, CRYPT),
        lambda d: "$" + "2y$10$" + d(53, CRYPT),
        lambda d: "$" + "2b$12$" + d(53, CRYPT),
        lambda d: "$" + "argon2id$v=19$m=65536,t=3,p=4$" + d(22) + "$" + d(43),
        lambda d: "$" + "y$j9T$" + d(22, CRYPT) + "$" + d(43, CRYPT),
        lambda d: "{SS" + "HA}" + d(39, BASE64) + "=",
        lambda d: "pbkdf2" + "_sha256$600000$" + d(22) + "$" + d(43, BASE64) + "=",
    ),
}
"""Formats that are told wherever they stand."""


def lone_key(draw: Draw) -> str:
    """A file that is one key, in which no word can be read."""
    while re.search("[a-z]{7}|[A-Z]{7}", key := draw(44)):
        pass
    return key


def placed(draw: Draw) -> dict[str, list[str]]:
    """Texts in which a value is told by its place."""
    key, word, login = draw(40, BASE64), draw(11) + "Q7z", draw.random.choice(["ada", "svc"])
    storage, digits = draw(86, BASE64) + "==", draw(32, HEX)
    return {
        "aws": [
            f'aws_secret_access_key = "~~{key}~~"',
            f'{{"SecretAccessKey": "~~{key}~~"}}',
            f"{'AK' + 'IA' + 'IOSFODNN7EXAMPLE'} ~~{key}~~",
        ],
        "slack": [
            f"hooks.slack.com/services/~~T{draw(9, UPPER)}/B{draw(9, UPPER)}/{draw(24)}~~"],
        "npm": [f"//registry.npmjs.org/:_authToken=~~{digits[:8]}-1f2e-4a5b-8c9d-{digits[:12]}~~"],
        "twilio": [f'TWILIO_AUTH_TOKEN="~~{digits}~~"', f"auth_token: ~~{digits}~~"],
        "azure": [
            f"DefaultEndpointsProtocol=https;AccountName=ada;AccountKey=~~{storage}~~;EndpointSuffix=x",
            f"Endpoint=sb://a.b/;SharedAccessKeyName=x;SharedAccessKey=~~{draw(43, BASE64)}=~~",
            f'account_key: "~~{storage}~~"',
            f"https://a.b/c?sv=2020-08-04&se=2030&sig=~~{draw(43)}%3D~~",
        ],
        "connection_string": [
            f"{scheme}://{login}:~~{word}~~@{host}"
            for scheme in ("postgres", "mongodb+srv", "amqps")
            for host in ("db:5432/x", "10.0.0.3", "[::1]/0")
        ] + [
            f"redis://:~~{word}~~@cache:6379/0",
            f"https://{login}:~~Tr7#{word}~~@git.acme-corp.io",
            f"https://~~{draw(40, HEX)}~~@git.acme-corp.io/a.git",
            f"https://~~{draw(40)}~~:x-oauth-basic@git.acme-corp.io/a.git",
            f"jdbc:oracle:thin:{login}/~~{word}~~@db:1521/x",
            f"Password=~~{word}~~;Server=db;User Id={login}",
            f"Server=tcp:db,1433;User ID=ada;Password=~~{word}~~;Encrypt=true",
            f'"Host=db;Username=ada;Password=~~{word}~~"',
        ],
        "http_auth": [
            f"Authorization: Basic ~~{basic(draw)}~~",
            f'-H "Authorization: Bearer ~~{draw(40)}~~"',
            f'headers = {{"Authorization": "Bearer ~~{draw(64, URLSAFE)}~~"}}',
            f"authorization: token ~~{draw(40, HEX)}~~",
            f"X-Api-Key: ~~{draw(32)}~~",
            f"PRIVATE-TOKEN: ~~{draw(20)}~~",
            f"Ocp-Apim-Subscription-Key: ~~{digits}~~",
        ],
        "private_key": [
            (f"Public-Lines: 1\nAAAA\nPrivate-Lines: 2\n~~{draw(64, BASE64)}\n"
            f"{draw(40, BASE64)}~~\n"
            f"Private-MAC: {draw(40, HEX)}"),
            f"~~{lone_key(draw)}~~\n",
        ],
        "login_file": [
            f"machine mail.acme-corp.io login {login} password ~~{word}~~",
            f"machine ftp.acme-corp.io\n  login {login}\n  password ~~{word}~~\n",
            f"db.acme-corp.io:5432:orders:{login}:~~{word}~~",
            f'{{"auths": {{"h": {{"auth": "~~{basic(draw)}~~"}}}}}}',
            f"//npm.acme-corp.io/:_authToken=~~{draw(40)}~~",
            f'poll mail.acme-corp.io protocol imap user "{login}" password "~~{word}~~"',
            f"kind: Secret\ndata:\n  db: ~~{base64.b64encode(word.encode()).decode()}~~\n",
            f"account work\nuser {login}\npassword ~~{word}~~",
        ],
        "command": [
            f"curl -u {login}:~~{word}~~ https://api.acme-corp.io",
            f"curl -s --user '{login}:~~{word}~~' https://api.acme-corp.io",
            f"mysql -u {login} -p~~{word}~~ orders",
            "mysql -p~~Sunny!Day~~",
            "curl -u lena:~~Sunny!Day~~ https://api.acme-corp.io",
            "tool --password=~~Sunny!Day~~",
            f"mysqldump -h db -u{login} -p'~~{word}~~' orders > x.sql",
            f"sshpass -p ~~{word}~~ ssh {login}@h",
            f"docker login -u {login} -p ~~{word}~~ r.acme-corp.io",
            f"wget --http-user={login} --http-password=~~{word}~~ https://x.acme-corp.io",
            f"redis-cli -h cache -a ~~{word}~~ ping",
            f"echo '~~{word}~~' | sudo -S ls",
            f"app --db-password ~~{word}~~ --verbose",
            f"htpasswd -b users {login} ~~{word}~~",
        ],
        "assignment": [
            f"api_key: ~~{draw(32, HEX)}~~  # staging",
            f"define('DB_PASSWORD', '~~{word}~~');",
            f"define('AUTH_KEY', '~~{draw(30)}<(>{{}} {draw(30, BASE64)}~~');",
            '{"password": "~~sunflower' + draw(2, "3456789") + '~~"}',
            "DB_PASSWORD=~~sunflower" + draw(2, "3456789") + "~~",
            f"<Pass encoding=\"base64\">~~{base64.b64encode(word.encode()).decode()}~~</Pass>",
            f"SECRET_KEY = '~~w7)tq!2e(m^p_k[{draw(10)}d)QA+$ovhb~~'",
            f"APP_KEY=~~base64:{draw(43, BASE64)}=~~",
            f'server.login("{login}", "~~{word}~~")',
            f"PGPASSWORD=~~{word}~~ psql -h db",
            f'- name: DB_PASSWORD\n  value: "~~{word}~~"',
            f'<property name="password" value="~~{word}~~"/>',
            f"spring.datasource.password=~~{word}~~",
            f'password: str = "~~{word}~~"',
            f'client.setPassword("~~{word}~~");',
            f"password = ~~{word}~~ ; production",
            f"| Password | ~~{word}~~ |",
            f'password = "~~{word}q#7~~"',
            f"API_KEY='~~{draw(32)}~~'",
            f'"client_secret": "~~{draw(40, URLSAFE)}~~",',
            f"DB_PASSWORD=~~{word}_Q7!~~",
            f"export AUTH_TOKEN=~~{draw(40, HEX)}~~",
            f'const apiKey = "~~{draw(24)}~~";',
            f"secret_key: ~~{draw(48, BASE64)}~~",
        ],
    }  # fmt: skip


def found(kind: str, seed: int, num_rows: int = 24) -> list[str]:
    """Texts that hold a credential of this kind."""
    draw = Draw(seed)
    texts: list[str] = []
    assert kind in TOKENS or kind in placed(draw)
    while len(texts) < num_rows:
        for make in TOKENS.get(kind, ()):
            texts.append(AROUND[len(texts) % len(AROUND)].format(f"~~{make(draw)}~~"))
        texts += placed(draw).get(kind, [])
    return texts


def broken(kind: str, seed: int) -> list[str]:
    """Values that fail a format: too short, run on, written out as a specimen, or made of words."""
    draw = Draw(seed)
    texts = []
    for make in TOKENS.get(kind, ()):
        value = make(draw)
        head = value[: 4 + max(value.find("-", 0, 9), value.find("_", 0, 9), 0)]
        texts += [
            value[:14],
            f"{head}...",
            head + "x" * 36,
            f"{head}your-key-here",
            f"<{head}>",
            f"{head}${{KEY}}",
        ]
        if kind != "private_key":
            texts += [f"Z{value}", f"{head}{'EXAMPLE' * 6}", "a" + value.lower()[:24]]
    return texts
