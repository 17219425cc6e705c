"""Secrets drawn from a seed, by the shape of the file or command that holds them.

What must go stands in ~~ ~~. Shapes are those of files as people commit them.
"""

import base64
import random
import string
from collections.abc import Callable

from tests.data.steps.credential_rows import Draw

CONTEXTS = (
    "{}", "Use this:\n\n{}\n\nand restart.", "```\n{}\n```", "    {}", "- {}", "> {}", "`{}`",
    "# settings\n{}\n# end", "Answer:\n{}", "{}\nother = 1",
)  # fmt: skip
ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
BASE64 = ALNUM + "+/"
CRYPT = ALNUM + "./"
DJANGO = "abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)"
SALT = ALNUM + "<(>{}!#%&*,-./:;=?@[]^_|~"
NOUNS = [
    "sunflower",
    "marzipan",
    "lighthouse",
    "thunder",
    "pelican",
    "walnut",
    "harbor",
    "meadow",
    "granite",
    "cobalt",
]
LOGINS = ["lena", "jonas", "maya", "pavel", "chiara", "diego", "amelie", "wouter", "ines", "tomek"]


def word(draw: Draw) -> str:
    """A word and two digits, as people choose them."""
    return draw.random.choice(NOUNS) + str(draw.random.randint(20, 98))


def mixed(draw: Draw) -> str:
    """A password with letters of both cases, digits, and perhaps a mark."""
    return "Tr7" + draw(6, string.ascii_letters) + draw.random.choice(["", "!", "+", "_"]) + "4q"


def either(draw: Draw) -> str:
    return draw.random.choice([word, mixed])(draw)


def login(draw: Draw) -> str:
    return draw.random.choice(LOGINS)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def with_secret(form: str, secret: Callable[[Draw], str]) -> Callable[[Draw], str]:
    """The form with a login for `@U` and a marked secret for `@S`."""
    return lambda draw: form.replace("@U", login(draw)).replace("@S", f"~~{secret(draw)}~~")


def of(number: int, letters: str = ALNUM) -> Callable[[Draw], str]:
    return lambda draw: draw(number, letters)


def in_base64(secret: Callable[[Draw], str]) -> Callable[[Draw], str]:
    return lambda draw: encoded(secret(draw))


def docker(draw: Draw) -> str:
    return encoded(f"{login(draw)}:{mixed(draw)}")


SHAPES: dict[str, dict[str, Callable[[Draw], str]]] = {
    "assignment": {
        "trailing comment": with_secret("api_key: @S  # staging", of(32, HEX)),
        "env, comment": with_secret("DB_PASSWORD=@S # local", either),
        "define": with_secret("define('DB_PASSWORD', '@S');", mixed),
        "salt": with_secret("define('AUTH_KEY', '@S');", of(64, SALT)),
        "JSON word": with_secret('{"password": "@S"}', word),
        "env word": with_secret("DB_PASSWORD=@S", word),
        "properties": with_secret("spring.datasource.password=@S", either),
        "ini": with_secret("password = @S", either),
        "YAML": with_secret("db_password: @S", either),
        "ansible": with_secret("ansible_become_pass: @S", either),
        "terraform": with_secret('db_password = "@S"', either),
        "XML": with_secret("<password>@S</password>", either),
        "XML base64": with_secret('<Pass encoding="base64">@S</Pass>', in_base64(either)),
        "XML attribute": with_secret('<add key="DbPassword" value="@S" />', either),
        "Django": with_secret("SECRET_KEY = '@S'", of(50, DJANGO)),
        "Laravel": with_secret("APP_KEY=base64:@S=", of(43, BASE64)),
        "login()": with_secret('server.login("@U", "@S")', either),
        "auth=()": with_secret('requests.get(url, auth=("@U", "@S"))', either),
        "PGPASSWORD": with_secret("PGPASSWORD=@S psql -h db", either),
        "k8s env": with_secret('- name: DB_PASSWORD\n  value: "@S"', either),
        "typed": with_secret('password: str = "@S"', either),
        "PHP array": with_secret("'password' => '@S',", either),
        "C#": with_secret('string password = "@S";', either),
        "CI": with_secret("  DEPLOY_TOKEN: @S", of(40)),
    },
    "login_file": {
        "netrc": with_secret("machine mail.acme-corp.io login @U password @S", either),
        "netrc lines": with_secret("machine a.acme-corp.io\n  login @U\n  password @S", mixed),
        "pgpass": with_secret("db.acme-corp.io:5432:orders:@U:@S", either),
        "msmtprc": with_secret("user @U\npassword @S", either),
        "esmtprc": with_secret('username = "@U"\npassword = "@S"', either),
        "docker": with_secret('{"auths":{"h":{"auth":"@S"}}}', docker),
        "npmrc": with_secret("//npm.acme-corp.io/:_authToken=@S", of(40)),
        "k8s secret": with_secret("kind: Secret\ndata:\n  database: @S", in_base64(either)),
        "pypirc": with_secret("username = @U\npassword = @S", either),
    },
    "password_hash": {
        "$6$": with_secret("root:@S:19000::::::", lambda d: f"$6${d(8)}${d(86, CRYPT)}"),
        "$5$": with_secret("@S", lambda d: f"$5${d(16)}${d(43, CRYPT)}"),
        "$1$": with_secret("@S", lambda d: f"$1${d(8)}${d(22, CRYPT)}"),
        "$apr1$": with_secret("@U:@S", lambda d: f"$apr1${d(8)}${d(22, CRYPT)}"),
        "$2y$": with_secret("@U:@S", lambda d: f"$2y$10${d(53, CRYPT)}"),
        "$2b$": with_secret("hash: @S", lambda d: f"$2b$12${d(53, CRYPT)}"),
        "yescrypt": with_secret("@S", lambda d: f"$y$j9T${d(22, CRYPT)}${d(43, CRYPT)}"),
        "argon2": with_secret("@S", lambda d: f"$argon2id$v=19$m=65536,t=3,p=4${d(22)}${d(43)}"),
        "Django": with_secret("@S", lambda d: f"pbkdf2_sha256$600000${d(22)}${d(43, BASE64)}="),
    },
    "private_key": {
        "PuTTY": lambda d: f"Private-Lines: 2\n"
        f"~~{d(64, BASE64)}\n{d(44, BASE64)}~~\nPrivate-MAC: 0",
        "PEM": lambda d: "~~-----BEGIN RSA PRIVATE KEY-----\n" + d(64, BASE64) + "\n"
        + d(64, BASE64) + "\n-----END RSA PRIVATE KEY-----~~",
    },
    "command": {
        "mysql -p": with_secret("mysql -u @U -p@S orders", either),
        "curl -u": with_secret("curl -u @U:@S https://api.acme-corp.io", either),
        "sshpass": with_secret("sshpass -p '@S' ssh @U@h", either),
        "--password=": with_secret("tool --user @U --password=@S", either),
        "--password": with_secret("tool --db-password @S --verbose", either),
        "docker login": with_secret("docker login -u @U -p @S r.acme-corp.io", either),
        "redis-cli": with_secret("redis-cli -h cache -a @S ping", either),
        "sudo -S": with_secret("echo '@S' | sudo -S true", either),
    },
    "connection_string": {
        "# in URL": with_secret("https://@U:@S@git.acme-corp.io", lambda d: "Tr7#" + mixed(d)),
        "postgres": with_secret("postgres://@U:@S@db:5432/orders", either),
        "redis": with_secret("redis://:@S@cache:6379/0", either),
        "token only": with_secret("https://@S@git.acme-corp.io/a.git", of(40, HEX)),
        "ADO": with_secret("Server=db;User Id=@U;Password=@S;Encrypt=true", either),
        "JDBC": with_secret("jdbc:mysql://db/orders?user=@U&password=@S", either),
    },
    "http_auth": {
        "Basic": with_secret("Authorization: Basic @S", docker),
        "Bearer": with_secret("Authorization: Bearer @S", of(40)),
        "X-Api-Key": with_secret("X-Api-Key: @S", of(32)),
        "PRIVATE-TOKEN": with_secret("PRIVATE-TOKEN: @S", of(20)),
    },
}  # fmt: skip
"""By kind and shape. A secret may be reported under another kind than it stands under here."""


def values(kind: str, shape: str, number: int) -> list[str]:
    """So many texts of one shape."""
    draw = Draw(0)
    draw.random = random.Random(f"{kind} {shape}")
    return [SHAPES[kind][shape](draw) for _ in range(number)]
