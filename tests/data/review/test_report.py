import re

import numpy as np
import pytest

from loray.data.review.facts import Facts, Lengths, gather_facts, stage_of
from loray.data.review.report import render_report, write_report
from loray.errors import ArtifactError
from tests.data.corpora import pairs, source, write_jsonl
from tests.data.review.made import make_dataset, small_spec
from tests.pages.parsed import ALLOWED_TAGS, HOSTILE, Page


def said(text: str) -> str:
    return " ".join(" ".join(Page(text).texts).split())


def test_the_report_says_what_came_in_and_what_became_of_it(made):
    _, folder = made
    text = render_report(gather_facts(folder))
    words = said(text)
    assert "67 rows came in: 62 kept, 5 put aside in quarantine." in words
    for wanted in (
        "quality: truncated", "rendering: too_long", "reading: malformed_json", "pii.email",
        "exact_duplicates: exact_duplicate", "task, train", "max_tokens", "worker seconds",
    ):  # fmt: skip
        assert wanted in words or wanted in text
    assert Page(text).tags.count("svg") == 7


def test_the_report_is_one_file_that_runs_and_fetches_nothing(made):
    _, folder = made
    text = render_report(gather_facts(folder))
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert set(page.tags) <= ALLOWED_TAGS
    names = {name for name, _ in page.attributes}
    assert not names & {"src", "href", "srcset", "action", "xlink:href"}
    assert "default-src 'none'" in text
    assert "url(" not in text


def test_the_same_dataset_gives_the_same_bytes(made, tmp_path):
    _, folder = made
    write_report(tmp_path / "a.html", gather_facts(folder))
    write_report(tmp_path / "b.html", gather_facts(folder))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_duplicates_are_shown_beside_what_is_kept(made):
    _, folder = made
    facts = gather_facts(folder)
    (pair,) = facts.pairs
    assert pair.rejected["turns"] == pair.kept["turns"]
    assert pair.rejected["id"] > pair.kept["id"]
    assert {pair.rejected["line"], pair.kept["line"]} == {4, 63}
    assert "in its stead: sources.0/a.jsonl:" in said(render_report(facts))


def test_three_rows_of_each_reason_are_shown(tmp_path, tokenizer_dir):
    spec = small_spec(tmp_path, tokenizer_dir, [*pairs(60), *[f"bad {n}" for n in range(9)]])
    facts = gather_facts(make_dataset(spec))
    assert {reason: len(rows) for reason, rows in facts.samples.items()} == {"malformed_json": 3}


def test_lengths_are_those_of_the_sequences_before_packing(made):
    spec, folder = made
    facts = gather_facts(folder)
    lengths = facts.lengths
    assert len(lengths.whole) == facts.statistics["sequences"]
    assert lengths.whole.sum() == facts.statistics["tokens"]
    assert lengths.learned.sum() == facts.statistics["target_tokens"]
    assert lengths.whole.max() <= spec.data.sequence.max_tokens
    assert (lengths.context > 0).all()


def test_hostile_rows_stay_text(tmp_path, tokenizer_dir):
    rows = [
        *pairs(60),
        {"ask": HOSTILE, "reply": "```\nopen"},
        HOSTILE.encode("utf-8", "replace"),
    ]
    spec = small_spec(tmp_path, tokenizer_dir, rows, steps=[{"kind": "quality"}])
    text = render_report(gather_facts(make_dataset(spec)))
    page = Page(text)
    assert set(page.tags) <= ALLOWED_TAGS
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert any("<script>alert(1)</script>" in found for found in page.texts)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e\u2066-\u2069]", text)


def test_replay_has_its_share_told(tmp_path, tokenizer_dir):
    write_jsonl(tmp_path / "r.jsonl", [{"text": f"plain prose {n}. " * 9} for n in range(90)])
    replay = {"source": source(tmp_path / "r.jsonl", fields={"text": "text"}), "fraction": 0.1}
    spec = small_spec(tmp_path, tokenizer_dir, replay=replay)
    words = said(render_report(gather_facts(make_dataset(spec))))
    assert "of what is learned; 10% asked for" in words
    assert "replay: not_drawn" in words


def test_a_dataset_of_nothing_can_be_told(made):
    _, folder = made
    facts = gather_facts(folder)
    none = {"in": 0, "kept": 0, "quarantined": 0, "rejected_by": {}}
    statistics = facts.statistics | {
        "rows": none, "sources": {"sources.0": none}, "changed_by": {}, "found": {}, "splits": {},
        "tokens": 0, "target_tokens": 0, "sequences": 0, "packs": 0, "seconds": {"total": 0.0},
    }  # fmt: skip
    manifest = facts.manifest.model_copy(update={"statistics": statistics})
    empty = np.zeros(0, np.int64)
    text = render_report(Facts(manifest, Lengths(empty, empty), {}, []))
    assert "No row was put aside" in said(text)
    assert "There is no training sequence" in said(text)
    assert not re.search(r"\b(nan|inf)\b", text)


def test_only_a_dataset_has_such_a_report(tmp_path):
    with pytest.raises(ArtifactError, match="run `loray apply` to make it"):
        gather_facts(tmp_path)


def test_a_reason_is_told_with_who_gives_it():
    assert stage_of("too_few_chars") == "length"
    assert stage_of("near_duplicate") == "near_duplicates"
    assert stage_of("something_of_ones_own") == "own"
