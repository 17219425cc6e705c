"""Files that cannot be read, or not whole: what is written, and what must be said of it."""

import gzip
import json
from typing import NamedTuple

ROW = {"ask": "a?", "reply": "b"}
LINE = json.dumps(ROW).encode()
LINES = b"\n".join([LINE] * 3) + b"\n"
ARRAY = json.dumps([ROW] * 3).encode()
PRETTY = json.dumps([ROW] * 3, indent=2).encode()


class Bad(NamedTuple):
    """A file and its fate."""

    name: str
    data: bytes
    message: str
    """A pattern, in what is refused at once, or in the note of the first rejected row."""
    kept: int = 0
    reasons: tuple[str, ...] = ()
    """Of rejected rows; the file is refused as a whole where there are none."""
    kind: str = "jsonl"


REFUSED = {
    "UTF-16LE with a mark": Bad("x.jsonl", LINES.decode().encode("utf-16"), "iconv -f UTF-16LE"),
    "UTF-16BE with a mark": Bad(
        "x.jsonl", b"\xfe\xff" + LINES.decode().encode("utf-16-be"), "text in UTF-16BE"
    ),
    "UTF-32 with a mark": Bad("x.jsonl", LINES.decode().encode("utf-32"), "text in UTF-32LE"),
    "UTF-16 without a mark": Bad("x.jsonl", LINES.decode().encode("utf-16-le"), "NUL bytes"),
    "UTF-16 in gzip": Bad("x.jsonl.gz", gzip.compress(LINES.decode().encode("utf-16")), "UTF-16"),
    "a CSV file in UTF-16": Bad(
        "x.csv", "ask,reply\na,b\n".encode("utf-16"), "wanted UTF-8", kind="csv"
    ),
    "text in UTF-16": Bad("x.txt", "hello\n".encode("utf-16"), "wanted UTF-8", kind="text"),
    "gzip without its ending": Bad("x.jsonl", gzip.compress(LINES), "a name that ends in .gz"),
    "zstd without its ending": Bad("x.jsonl", b"\x28\xb5\x2f\xfd123", "a name that ends in .zst"),
    "a ZIP archive": Bad("x.jsonl", b"PK\x03\x04" + b"x" * 99, "a ZIP archive; .*unpack it"),
    "bzip2": Bad("x.jsonl", b"BZh91AY&SY", "compressed with bzip2"),
    "xz": Bad("x.jsonl", b"\xfd7zXZ\x00\x00", "compressed with xz"),
    "Parquet as JSON Lines": Bad("x.jsonl", b"PAR1" + b"x" * 50, "set kind: parquet"),
    "a database": Bad("x.jsonl", b"SQLite format 3\x00", "a SQLite database"),
    "a page in the file's place": Bad("x.jsonl", b"<!DOCTYPE html><html>", "an HTML page"),
    "a pointer of Git LFS": Bad(
        "x.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "git lfs pull"
    ),
    "a pointer in Parquet's place": Bad(
        "x.parquet",
        b"version https://git-lfs.github.com/spec/v1\n",
        "git lfs pull",
        kind="parquet",
    ),
    "a PDF as text": Bad("x.txt", b"%PDF-1.7\n", "a PDF document", kind="text"),
    "no gzip": Bad("x.jsonl.gz", LINES, "nothing that can be decompressed"),
    "no zstd": Bad("x.jsonl.zst", LINES, "nothing that can be decompressed"),
    "old Mac line ends": Bad("x.jsonl", LINES.replace(b"\n", b"\r"), "on old Macs"),
    "a CSV file of an old Mac": Bad("x.csv", b"ask,reply\ra,b\r", "on old Macs", kind="csv"),
    "no Parquet": Bad("x.parquet", LINES, "no readable Parquet file", kind="parquet"),
    "a CSV file without the column": Bad(
        "x.csv", b"ask,answer\na,b\n", r"no column 'reply', only \['ask', 'answer'\]", kind="csv"
    ),
    "a CSV file of another delimiter": Bad(
        "x.csv", b"ask;reply\na;b\n", "or the delimiter", kind="csv"
    ),
    "a CSV header twice": Bad("x.csv", b"ask,ask\na,b\n", "more than once", kind="csv"),
    "an empty file": Bad("x.jsonl", b"", r"no row at all: sources\.0/x\.jsonl"),
    "an array damaged on its one line": Bad(
        "x.json", ARRAY.replace(b'"b"}, {', b'"b"}, oops {', 1), "damaged at line 1, byte 30"
    ),
}
READ = {
    "an array": Bad("x.json", ARRAY, "", 3),
    "an array over lines": Bad("x.json", PRETTY, "", 3),
    "an array in a .jsonl": Bad("x.jsonl", PRETTY, "", 3),
    "an array with a mark": Bad("x.json", b"\xef\xbb\xbf" + PRETTY, "", 3),
    "an array of Windows lines": Bad("x.json", PRETTY.replace(b"\n", b"\r\n"), "", 3),
    "an array in gzip": Bad("x.json.gz", gzip.compress(PRETTY), "", 3),
    "objects over lines": Bad("x.json", json.dumps(ROW, indent=1).encode() * 2, "", 2),
    "arrays one after another": Bad("x.json", PRETTY + b"\n" + PRETTY, "", 6),
    "an element damaged": Bad(
        "x.json",
        PRETTY.replace(b'"b"', b'"b', 1),
        "Invalid control character",
        2,
        ("malformed_json",),
    ),
    "an array cut off within an element": Bad(
        "x.json", PRETTY[:-20], "the file ends within", 2, ("torn_stream",)
    ),
    "an array cut off between elements": Bad(
        "x.json", ARRAY[:-1], "the file ends within", 3, ("torn_stream",)
    ),
    "an array of texts": Bad(
        "x.json", b'[\n"a",\n"b"\n]', "found text; wanted an object", 0, ("not_an_object",) * 2
    ),
    "arrays as lines": Bad(
        "x.jsonl", b'["a"]\n["b"]\n', "found a list; wanted an object", 0, ("not_an_object",) * 2
    ),
    "rows in another object": Bad(
        "x.json", json.dumps({"data": [ROW]}).encode(),
        r"there are \['data'\]; if 'data' holds the rows", 0, ("missing_field",),
    ),
    "latin-1 in a line": Bad(
        "x.jsonl", LINES + b'{"ask": "caf\xe9", "reply": "b"}\n', "byte 0xe9 at byte 13", 3,
        ("invalid_utf8",),
    ),
    "latin-1 in an array": Bad(
        "x.json", PRETTY.replace(b"a?", b"\xe9", 1), "byte 0xe9", 2, ("invalid_utf8",)
    ),
    "marks within a file": Bad("x.jsonl", (b"\xef\xbb\xbf" + LINE + b"\n") * 2, "", 2),
    "NaN in a column that is not read": Bad(
        "x.jsonl", b'{"ask": "a", "reply": "b", "score": NaN, "x": [-Infinity]}\n', "", 1
    ),
    "NaN in a column that is read": Bad(
        "x.jsonl", LINES + b'{"ask": "a", "reply": NaN}\n', "'reply' is NaN or Infinity", 3,
        ("malformed_json",),
    ),
    "a number that only Arrow takes": Bad(
        "x.jsonl", LINES + b'{"ask": "a", "reply": "b", "s": Inf}\n', "Expecting value", 3,
        ("malformed_json",),
    ),
    "a CSV file named as JSON Lines": Bad(
        "x.jsonl", b"ask,reply\na,b\n", "Expecting value: line 1 column 1", 0,
        ("malformed_json",) * 2,
    ),
    "a column by another name": Bad(
        "x.jsonl", b'{"ask": "a", "answer": "b"}\n',
        r"no value in column 'reply'; there are \['ask', 'answer'\]", 0, ("missing_field",),
    ),
    "a comma after each line": Bad(
        "x.jsonl", LINE + b",\n" + LINE + b",\n", "Extra data", 0, ("malformed_json",) * 2
    ),
    "gzip with something after it": Bad(
        "x.jsonl.gz", gzip.compress(LINES) + b"garbage", "is followed by what is none", 3,
        ("torn_stream",),
    ),
    "gzip cut off": Bad(
        "x.jsonl.gz", gzip.compress(LINES + b'{"ask": ')[:-9], "ends early", 3, ("torn_stream",)
    ),
    "gzip padded with zeros": Bad("x.jsonl.gz", gzip.compress(LINES) + b"\0" * 512, "", 3),
    "capitals in the name": Bad("X.JSONL.GZ", gzip.compress(LINES), "", 3),
    "a ragged CSV file": Bad(
        "x.csv", b"ask,reply\na,b,c\na,b\n", "found 3; wanted 2", 1, ("wrong_number_of_fields",),
        "csv",
    ),
    "an open quote in CSV": Bad(
        "x.csv", b'ask,reply\n"a,b\na,b\n', "wanted a record as in RFC 4180", 1,
        ("malformed_csv",), "csv",
    ),
    "a number for text": Bad(
        "x.jsonl", LINES + b'{"ask": 7, "reply": "b"}\n', "'ask' holds 7; wanted text", 3,
        ("field_not_text",),
    ),
    "a key twice": Bad(
        "x.jsonl", LINES + b'{"ask": "a", "ask": "c", "reply": "b"}\n', "'ask' stands twice", 3,
        ("duplicate_key",),
    ),
    "too deep": Bad(
        "x.jsonl", LINES + b'{"ask": ' + b"[" * 99_999 + b"\n", "nested too deep", 3,
        ("malformed_json",),
    ),
}  # fmt: skip
