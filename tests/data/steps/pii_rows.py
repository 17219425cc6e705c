"""Texts that hold personal data, by kind; what must go stands in ~~ ~~.

Values are the public specimens of each format's own specification where it prints any.
"""

AROUND = (
    "{}", "it is {}.", "({})", "'{}'", '"{}",', "{}\n", "\t{}", "x: {}", "- {}", "{}; then",
    "<b>{}</b>", "see {}, please", "| {} |", "[{}]", "value={}", "{} and more", "no, {}!",
    "is it {}?", "`{}`", '{{"v": "{}"}}',
)  # fmt: skip
"""Surroundings that change no value of any format."""


def in_turn(values: str) -> list[str]:
    """Every value, and every surrounding at least once."""
    lines = [line.strip() for line in values.strip().splitlines()]
    rounds = max(len(lines), len(AROUND))
    return [
        AROUND[at % len(AROUND)].format(f"~~{lines[at % len(lines)]}~~") for at in range(rounds)
    ]


def rows(texts: str) -> list[str]:
    return [line.strip() for line in texts.strip().splitlines()]


FOUND = {
    "email": rows(r"""
        write to ~~ada.lovelace+x@mail.uni-koeln.de~~.
        <~~bob@company.co.uk~~>
        E-MAIL: ~~ALICE@GMAIL.COM~~
        mailto:~~carol@foo.org~~?subject=x
        (~~o_k@a-b.io~~)
        "~~first.last@sub.domain.gov~~",
        '~~x@y.fr~~'
        ~~a1@b2.net~~; ~~c3@d4.net~~
        Author: Jane Roe <~~jane@roe.dev~~>
        email="~~q@w.edu~~"
        | ~~li.wei@163.cn~~ |
        contact:~~me@here.us~~
        **~~bold@text.org~~**
        [mail](~~link@text.org~~)
        ~~user%dept@relay.mil~~
        ~~12345@qq.com~~
        ~~jos@b\u00fccher.de~~
        Is it ~~who@knows.ch~~?
        ~~semi@colon.at~~; next
        ~~dash-ed@two-three.com.au~~
        To: ~~one@first.org~~, ~~two@second.org~~
    """.replace(r"\u00fc", "\u00fc")),
    "ip": rows("""
        from ~~81.2.69.142~~ port 22
        connect to ~~1.178.32.9~~
        http://~~203.104.52.17~~/index
        [~~2a02:8109:9440:1198::5f~~]
        ~~2607:f8b0:4005:805::200e~~
        ssh: host ~~93.184.216.34~~: refused
        ~~185.199.108.153~~:443
        "remote_addr": "~~77.88.55.60~~"
        ~~52.95.110.1~~, ~~54.239.28.85~~
        ping ~~13.107.42.14~~
        IP address: ~~17.253.144.10~~
        ~~89.160.20.112~~ - - [10/Oct/2000:13:55:36 -0700]
        Received: from mail (~~212.58.244.70~~)
        nmap -sV ~~45.33.32.156~~
        server ~~20.112.52.29~~;
        ~~2A00:1450:4001:81B::200E~~
        http://[~~2a00:1450:4009:80b::200e~~]:80/
        the client at ~~31.13.66.35~~
        via ~~4.31.198.44~~
        ~~2001:41d0:1:8d6::a7b2:1c3~~
        ~~151.101.1.69~~
    """),
    "phone": rows("""
        call ~~(212) 736-5000~~ now
        ~~415-736-2671~~
        ~~415.736.2671~~
        ~~1-212-633-4227~~
        ~~+44 20 7946 0958~~
        ~~+1 (415) 736-2671~~
        ~~+4930901820~~
        phone: ~~415 736 2671~~
        Tel. ~~020 7946 0958~~
        Telephone: ~~030 901820~~
        Fax: ~~2127729100~~
        (TTY: ~~12123250778~~)
        tel:~~+31641044153~~
        TTY-~~1-646-411-1010~~
        ~~+33 1 42 68 53 00~~
        ~~+44 (0)20 7946 0958~~
        ~~212/736-5000~~
        1-212-OUR-AARP (~~1-212-687-2277~~)
        mobile ~~07911 123456~~
        ~~+91 98241 43217~~
        ~~+49 (30) 901820~~
        ~~(212)736-5000~~ or ~~(212) 736 5001~~
    """),
    "card": [*in_turn("""
        4111 1111 1111 1111
        5500-0055-5555-5559
        378282246310005
        3782 822463 10005
        6011111111111117
        4242424242424242
        5555555555554444
        2223003122003222
        3530111333300000
        6200000000000005
        371449635398431
    """), "Visa: ~~4000000000000000006~~", "Diners card ~~30569309025904~~"],
    "iban": [*in_turn("""
        DE89370400440532013000
        DE89 3704 0044 0532 0130 00
        GB29 NWBK 6016 1331 9268 19
        FR1420041010050500013M02606
        NO9386011117947
        MT84MALT011000012345MTLCAST001S
        NL91ABNA0417164300
        CH93 0076 2011 6238 5295 7
        BE68-5390-0754-7034
        SC18SSCB11010000000000001497USD
        ES91 2100 0418 4502 0005 1332
        AT611904300234573201
        PL61109010140000071219812874
    """), "IBAN ~~DE89 3704 0044 0532 0130 00~~ BIC COBADEFFXXX"],
    "ssn": [*in_turn("""
        219-09-1234
        536-22-8726
        001-01-0001
        772-48-5019
        899-99-9998
    """), "SSN: ~~219091234~~", "SSN ~~536-22-8726~~", "social security number ~~536 22 8726~~"],
    "mac": [*in_turn("""
        52:54:00:9d:0e:67
        52-54-00-9D-0E-67
        3C:22:FB:4A:91:0e
        b8:27:eb:a1:02:c3
        F0-18-98-E2-33-7D
    """), "MAC address ~~3c22.fb4a.910e~~", "HWaddr ~~52:54:00:91:83:67~~"],
    "crypto": [*in_turn("""
        1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa
        3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy
        1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2
        bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4
        BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4
        bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3
        bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0
        0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
        0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359
        0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB
        0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb
    """), "my wallet: ~~0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed~~"],
    "url_credentials": [
        AROUND[at].format(f"{scheme}://~~{login}~~@{host}")
        for at, (scheme, login, host) in enumerate(
            (scheme, login, host)
            for scheme in ("https", "ftp", "postgres", "git+ssh")
            for login, host in (
                ("ada:b1ueM00n", "foo.org/x"), ("bob:s3cr-et_9", "10.0.0.3:80"),
                ("me:p%40ss7Q", "[::1]"), ("a.b:Zq7.Lm2", "localhost"), ("svc:Kx93hs0Wq", "db"),
            )
        )
    ],
}  # fmt: skip
