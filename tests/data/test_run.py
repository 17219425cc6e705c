"""Whole curations on a Ray cluster."""

import gzip
import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loray.artifacts.tokens import TOKENS, TokenParts
from loray.data import curate_to
from loray.errors import ModelError, SourceError
from tests.data.corpora import pairs, run_spec, source, write_jsonl

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

FAULTS = {
    "malformed_json": ['{"ask": "a", ', "no json"],
    "not_an_object": ['["a", "b"]'],
    "duplicate_key": ['{"ask": "a", "ask": "b", "reply": "c"}'],
    "invalid_utf8": [b'{"ask": "caf\xe9", "reply": "x"}'],
    "lone_surrogate": ['{"ask": "\\ud83d", "reply": "x"}'],
    "missing_field": ['{"ask": "a"}', '{"ask": null, "reply": "x"}'],
    "field_not_text": ['{"ask": 7, "reply": "x"}'],
    "empty_prompt": ['{"ask": "", "reply": "x"}'],
    "empty_completion": ['{"ask": "a", "reply": " "}', '{"ask": "b", "reply": "\\u200b"}'],
    "too_many_chars": [{"ask": "a", "reply": "y" * 600}],
    "too_long": [{"ask": "a", "reply": "z" * 200}],
    "exact_duplicate": [{"ask": "what is 3?", "reply": "it is very very very 3"}],
}
STEPS = [
    {"kind": "unicode"},
    {"kind": "control_tokens"},
    {"kind": "pii"},
    {"kind": "length", "max_chars": 500},
    {"kind": "exact_duplicates"},
]


def curate(out: Path, spec) -> dict:
    out.mkdir(parents=True)
    return curate_to(out, spec)


def digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def sequences(folder: Path) -> list[dict]:
    batches = TokenParts(str(folder / "tokens")).batches()
    return pa.Table.from_batches(batches, TOKENS).to_pylist()


def single_rows(folder: Path) -> list[tuple]:
    """Every packed row by itself: its id, tokens and labels."""
    rows = []
    for pack in sequences(folder):
        starts = [at for at, position in enumerate(pack["positions"]) if position == 0]
        edges = [*starts, len(pack["positions"])]
        for number, row_id in enumerate(pack["row_ids"]):
            part = slice(edges[number], edges[number + 1])
            rows.append((row_id, tuple(pack["input_ids"][part]), tuple(pack["labels"][part])))
    return rows


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    """Two files with faults of every kind among 300 sound rows; one ends torn."""
    folder = tmp_path_factory.mktemp("faulty")
    bad = [line for lines in FAULTS.values() for line in lines]
    write_jsonl(folder / "a.jsonl", [*pairs(150), "", *bad, *pairs(100, 150)])
    text = b"".join(json.dumps(row).encode() + b"\n" for row in pairs(50, 250))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(text)[:-8])
    return folder


def test_what_comes_in_is_kept_or_quarantined_with_its_source_line_and_reason(
    faulty, tokenizer_dir, tmp_path
):
    out = tmp_path / "out"
    spec = run_spec(tokenizer_dir, source(faulty / "*"), steps=STEPS)
    found = curate(out, spec)
    planted = {reason: len(lines) for reason, lines in FAULTS.items()}
    assert found["rows"]["rejected_by"] == {**planted, "torn_stream": 1}
    assert found["rows"]["in"] == 300 + sum(planted.values()) + 1
    assert found["rows"]["in"] == found["rows"]["kept"] + found["rows"]["quarantined"]
    kept = pq.read_table(out / "rows").to_pylist()
    gone = pq.read_table(out / "quarantine").to_pylist()
    assert Counter(row["rejected_by"] for row in gone) == found["rows"]["rejected_by"]
    assert len(kept) == found["rows"]["kept"] == 300
    lines = [line for lines in FAULTS.values() for line in lines]
    for row in gone:
        if row["source"] == "sources.0/a.jsonl" and row["rejected_by"] != "exact_duplicate":
            assert lines[row["line"] - 152] in FAULTS[row["rejected_by"]]
        if row["turns"] is None:
            assert row["raw"] is not None
    ids = [row["id"] for row in kept]
    assert ids == sorted(ids)
    assert not set(ids) & {row["id"] for row in gone}


def test_packed_rows_are_the_unpacked_rows(faulty, tokenizer_dir, tmp_path):
    spec = run_spec(tokenizer_dir, source(faulty / "*"), steps=STEPS)
    packed = curate(tmp_path / "packed", spec)
    sequence = {"max_tokens": 128, "packing": False}
    spec = run_spec(tokenizer_dir, source(faulty / "*"), steps=STEPS, sequence=sequence)
    loose = curate(tmp_path / "loose", spec)
    rows = single_rows(tmp_path / "packed")
    assert sorted(rows) == sorted(single_rows(tmp_path / "loose"))
    assert packed["packs"] < loose["packs"] == packed["sequences"] == len(rows)
    assert packed["tokens"] == loose["tokens"] == sum(len(ids) for _, ids, _ in rows)
    assert all(len(pack["input_ids"]) <= 128 for pack in sequences(tmp_path / "packed"))
    assert all(labels[0] == -100 for _, _, labels in rows)


def test_every_answer_in_the_token_file_ends_and_only_answers_are_learned(tokenizer_dir, tmp_path):
    from loray.models.chat import load_tokenizer

    tokenizer = load_tokenizer(str(tokenizer_dir))
    write_jsonl(tmp_path / "x.jsonl", pairs(100))
    curate(tmp_path / "out", run_spec(tokenizer_dir, source(tmp_path / "x.jsonl")))
    replies = {row["reply"] for row in pairs(100)}
    for _, _, labels in single_rows(tmp_path / "out"):
        learned = tokenizer.decode([label for label in labels if label != -100])
        assert learned.removesuffix("<|end|>") in replies
        assert learned.endswith("<|end|>")


def test_groups_are_in_one_split_and_suites_share_the_rule(tokenizer_dir, tmp_path):
    fields = {"prompt": "ask", "completion": "reply", "group": "book"}
    write_jsonl(tmp_path / "task.jsonl", pairs(400))
    write_jsonl(tmp_path / "replay.jsonl", pairs(400, 1000))
    replay = {"source": source(tmp_path / "replay.jsonl", fields=fields), "fraction": 0.3}
    split = {"validation": 0.2, "test": 0.2}
    task = source(tmp_path / "task.jsonl", fields=fields)
    found = curate(tmp_path / "out", run_spec(tokenizer_dir, task, replay=replay, split=split))
    rows = [*pq.read_table(tmp_path / "out" / "rows").to_pylist()]
    rows += pq.read_table(tmp_path / "out" / "quarantine").to_pylist()
    splits = {(row["group"], row["split"]) for row in rows}
    assert len(splits) == len({group for group, _ in splits}) == 40
    assert {row["suite"] for row in rows} == {"task", "replay"}
    assert found["replay_fraction"] == pytest.approx(0.3, abs=0.005)
    general = pq.read_table(tmp_path / "out" / "eval" / "general.parquet")
    assert general.num_rows == found["held_out"]["general"] == found["splits"]["replay"]["test"]


def test_raw_text_is_learned_whole_in_pieces(tokenizer_dir, tmp_path):
    texts = [f"document {n}\n" + "some words and more\n" * n for n in range(60)]
    write_jsonl(tmp_path / "x.jsonl", [{"text": text} for text in texts])
    prose = source(tmp_path / "x.jsonl", fields={"text": "text"})
    split = {"validation": 0.2, "test": 0.2}
    found = curate(tmp_path / "out", run_spec(tokenizer_dir, prose, split=split))
    from loray.models.chat import load_tokenizer

    tokenizer = load_tokenizer(str(tokenizer_dir))
    pieces = Counter()
    for _, ids, labels in single_rows(tmp_path / "out"):
        assert list(labels[1:]) == list(ids[1:])
        pieces[tokenizer.decode(ids)] += 1
    ended = sum(count for text, count in pieces.items() if text.endswith("<|end|>"))
    assert ended == found["splits"]["task"]["train"]
    assert sum(pieces.values()) == found["sequences"] > ended
    validation = pq.read_table(tmp_path / "out" / "eval" / "validation.parquet").to_pylist()
    held = "".join(row["reference"] for row in validation)
    assert held.count("document") == found["splits"]["task"]["validation"]
    assert all(row["prompt"] == [] for row in validation)


def test_raw_text_needs_no_chat_template(tokenizer_dir, tmp_path):
    from loray.models.chat import load_tokenizer

    tokenizer = load_tokenizer(str(tokenizer_dir))
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "base")
    write_jsonl(tmp_path / "x.jsonl", [{"text": f"document {n}"} for n in range(200)])
    prose = source(tmp_path / "x.jsonl", fields={"text": "text"})
    assert curate(tmp_path / "out", run_spec(tmp_path / "base", prose))["rows"]["kept"] == 200
    write_jsonl(tmp_path / "y.jsonl", pairs(3))
    with pytest.raises(ModelError, match="no chat template"):
        curate(tmp_path / "chat", run_spec(tmp_path / "base", source(tmp_path / "y.jsonl")))


def test_text_and_chats_may_end_with_different_tokens(tokenizer_dir, tmp_path):
    from loray.models.chat import load_tokenizer

    tokenizer = load_tokenizer(str(tokenizer_dir))
    tokenizer.eos_token = "<|system|>"
    tokenizer.save_pretrained(tmp_path / "base")
    write_jsonl(tmp_path / "x.jsonl", [{"text": f"document {n}"} for n in range(200)])
    write_jsonl(tmp_path / "y.jsonl", pairs(200))
    both = (source(tmp_path / "x.jsonl", fields={"text": "text"}), source(tmp_path / "y.jsonl"))
    found = curate(tmp_path / "out", run_spec(tmp_path / "base", *both))
    assert found["rows"]["kept"] == 400
    ends = Counter(labels[-1] for _, _, labels in single_rows(tmp_path / "out"))
    assert set(ends) == {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|end|>")}


def test_rows_in_a_bucket_make_the_dataset_that_rows_on_disk_make(
    faulty, tokenizer_dir, tmp_path, lake, s3_endpoint
):
    for path in faulty.iterdir():
        with lake.open_output_stream(f"lake/run/{path.name}", compression=None) as stream:
            stream.write(path.read_bytes())
    there = source("s3://lake/run/*", s3={"endpoint": s3_endpoint})
    curate(tmp_path / "s3", run_spec(tokenizer_dir, there, steps=STEPS))
    curate(tmp_path / "disk", run_spec(tokenizer_dir, source(faulty / "*"), steps=STEPS))
    assert digests(tmp_path / "s3") == digests(tmp_path / "disk")


def test_a_corpus_over_its_budget_is_refused_and_its_quarantine_can_be_read(
    faulty, tokenizer_dir, tmp_path
):
    spec = run_spec(tokenizer_dir, source(faulty / "*"), steps=STEPS, max_rejected=0.01)
    with pytest.raises(SourceError, match=r"rejected .*allows 1\.0%[\s\S]*sources\.0/[ab]\.jsonl"):
        curate(tmp_path / "out", spec)
    assert pq.read_table(tmp_path / "out" / "quarantine").num_rows > 3


def test_the_value_that_an_emptied_corpus_is_told_to_set_keeps_its_rows(tokenizer_dir, tmp_path):
    rows = source(write_jsonl(tmp_path / "x.jsonl", pairs(40)))
    whole = {"split": {"validation": 0.0, "test": 0.0}}
    spec = run_spec(tokenizer_dir, rows, sequence={"max_tokens": 16}, **whole)
    with pytest.raises(SourceError, match=r"data\.sequence\.max_tokens=\d+ keeps 95%") as told:
        curate(tmp_path / "empty", spec)
    enough = int(re.search(r"max_tokens=(\d+) keeps", str(told.value))[1])
    spec = run_spec(tokenizer_dir, rows, sequence={"max_tokens": enough}, **whole)
    assert curate(tmp_path / "out", spec)["rows"]["kept"] >= 38


def test_a_base_that_cannot_chat_is_refused_before_anything_is_read(tokenizer_dir, tmp_path):
    write_jsonl(tmp_path / "x.jsonl", pairs(3))
    spec = run_spec(tmp_path / "no-model", source(tmp_path / "x.jsonl"))
    with pytest.raises(ModelError):
        curate(tmp_path / "out", spec)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_that_vanishes_while_it_is_read_is_named(tokenizer_dir, tmp_path, monkeypatch):
    from loray.data import flow

    path = write_jsonl(tmp_path / "x.jsonl", pairs(30))
    spec = run_spec(tokenizer_dir, source(path))
    run_stages = flow.run_stages
    monkeypatch.setattr(
        "loray.data.run.run_stages", lambda *given: path.unlink() or run_stages(*given)
    )
    with pytest.raises(SourceError, match=r"sources\.0/x\.jsonl at .* cannot be read"):
        curate(tmp_path / "out", spec)


def test_what_is_not_read_is_told_once_and_kept_in_the_statistics(tokenizer_dir, tmp_path):
    folder = tmp_path / "in"
    write_jsonl(folder / "a.jsonl", [{**row, "tag": "x"} for row in pairs(60)])
    (folder / "rows.json").write_text(json.dumps(pairs(60, 100), indent=2))
    (folder / "again.jsonl").symlink_to("a.jsonl")
    lines: list[str] = []
    (tmp_path / "out").mkdir()
    found = curate_to(
        tmp_path / "out", run_spec(tokenizer_dir, source(folder)), report=lines.append
    )
    assert found["rows"]["kept"] == 120
    assert found["sources"]["sources.0"]["columns_not_read"] == ["book", "tag"]
    assert [line for line in lines if "not read" in line] == [
        "sources.0: columns that are not read: book, tag"
    ]
    assert any("again.jsonl" in line and "read once" in line for line in lines)
