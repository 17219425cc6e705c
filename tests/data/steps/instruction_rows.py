"""Rows of instruction data that no filter may take: short, symbolic, tabular, code, repetitive."""

_CODE = """```python
def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a
```"""
_BRAINFUCK = "++++++++[>++++[>++>+++>+++>+<<<<-]>+>+>->>+[<]<-]>>.>---.+++++++..+++.>>.<-.<.+++."
_TABLE = "| year | sum |\n|------|-----|\n" + "".join(
    f"| {2000 + n} | {n * n} |\n" for n in range(40)
)
_CSV = "id,is_sound,is_kept\n" + "".join(f"{n},true,false\n" for n in range(60))
_CLOSING = "\n".join(["if (x) {", "  y();", "}"] * 3 + ["  }", "}", "});"] * 9)
_CHORUS = "\n".join(
    f"The {boat} comes in at {n} with {n * 3} {fish} on board, and {wind} from the {side}\n"
    "Hey ho, the wind and the rain, and out goes the boat again"
    for n, (boat, fish, wind, side) in enumerate(
        zip(
            ["cutter", "dory", "ketch", "lugger", "smack", "sloop", "yawl"],
            ["cod", "hake", "ling", "sprats", "whiting", "plaice", "bream"],
            ["a gale", "a breeze", "no wind", "a squall", "fog", "sleet", "a calm"],
            ["north", "south", "west", "east", "shore", "sea", "hills"],
            strict=True,
        )
    )
)
_MATHS = "$\\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}$, so $x^2 - 5x + 6 = (x-2)(x-3) = 0$"
_HASH = "SHA-512: " + "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7" * 2
_KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ" + "C7vbqaJX3mR9tK2LwYz0PsFh8Q" * 12 + " ada@host"
_ADDRESS = "https://example.org/" + "".join(f"part-{n}/of-a-long-path/" for n in range(30))
_JSON = '{"items":[' + ",".join(f'{{"id":{n},"ok":true}}' for n in range(60)) + "]}"
_CHINESE = "\u56e0\u4e3a\u6c7d\u8f66\u9001\u53bb\u4fee\u7406\u4e86" * 3
_HINDI = "\u0915\u0932 \u0939\u092e \u091f\u094d\u0930\u0947\u0928 \u0938\u0947 \u0917\u090f " * 5
_STEPS = " ".join(
    f"Step {n}: add {n} to the sum, which makes {n * (n + 1) // 2}." for n in range(1, 40)
)

GOOD: list[tuple[str, str]] = [
    ("Is 7 prime?", "Yes"),
    ("Sentiment: I loved it", "positive"),
    ("I lost my card", "lost_or_stolen_card"),
    ("2 + 2", "4"),
    ("Hi", "Hi"),
    ("Hello there!", "Hello there!"),
    ("List all files", "ls -la {{path/to/directory}}"),
    ("Match 20 digits or dashes", r"exrex '((\| *\\|-{22}|\|)|\.={50}| ( ){0,5}\\\.| {12})'"),
    ("Hello world in brainfuck", f"```\n{_BRAINFUCK}\n```"),
    ("Show it in emoji", "\U0001f3ac\U0001f37f\U0001f600 \U0001f44d"),
    ("Solve it", _MATHS),
    ("Draw a rule", "-" * 79),
    ("Write fib", _CODE),
    ("Write fib, no fence", _CODE.strip("`").removeprefix("python\n")),
    ("Use it inline", "Run ```make check``` first."),
    ("Say it with a fence within a line", "Like so: ```sh\nmake\n```\nand done"),
    ("Which square numbers?", _TABLE),
    ("Export", _CSV),
    ("Close it", _CLOSING),
    ("Sing", _CHORUS),
    ("Add up", _STEPS),
    ("Hash it", _HASH),
    ("My key?", _KEY),
    ("Link?", _ADDRESS),
    ("As JSON", _JSON),
    ("Why the train?", _CHINESE),
    ("And in Hindi?", _HINDI),
    ("Laugh", "hahahahaha" * 5 + "!"),
    ("Scream", "A" + "a" * 60 + "!"),
    ("Zeros", "[" + ", ".join("0" * 80) + "]"),
    ("What is U+FFFD?", "The character \ufffd stands for bytes that no decoder could read."),
    ("Name it", "S\u00e3o Tom\u00e9, \u00c2ngela, CAF\u00c9 \u00c3O"),
    ("Correct: She go home", "She goes home"),
    ("May I?", "I am sorry to hear that; I hope that you can go."),
    ("What is 11 times 11, again and again?", "121. " * 6),
]
