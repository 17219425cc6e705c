from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loray.artifacts.tokens import TokenParts
from loray.data.review.preview import (
    chain_for,
    preview_row,
    preview_sources,
    preview_split,
    viewer_of,
)
from loray.errors import DatasetError, SourceError
from loray.models.chat import encode, load_tokenizer
from tests.data.corpora import pairs, source, write_jsonl
from tests.data.review.made import make_dataset, small_spec


def text_of(shown, *, is_learned: bool) -> str:
    return "".join(span.text for span in shown.spans if span.is_learned == is_learned)


def test_every_sequence_of_the_token_file_is_shown_with_its_row(made):
    spec, folder = made
    shown = preview_split(folder, "train", 10_000, viewer_of(spec))
    assert len(shown) == sum(map(len, tokens(folder)["row_ids"].to_pylist()))
    for sequence in shown:
        turns = sequence.row["turns"]
        assert turns[0]["content"] in text_of(sequence, is_learned=False)
        assert text_of(sequence, is_learned=True).startswith(turns[1]["content"])
        assert turns[0]["content"] not in text_of(sequence, is_learned=True)


def tokens(folder) -> pa.Table:
    return pa.Table.from_batches(TokenParts(str(folder / "tokens")).batches())


def test_rows_of_a_pack_come_one_after_another(made):
    spec, folder = made
    shown = preview_split(folder, "train", 10_000, viewer_of(spec))
    places = [sequence.place for sequence in shown]
    assert [place.pack for place in places] == sorted(place.pack for place in places)
    assert max(place.num_in_pack for place in places) > 1
    first = [sequence.row["id"] for sequence in shown if sequence.place.pack == 0]
    assert first == tokens(folder)["row_ids"][0].as_py()


def test_only_as_many_are_shown_as_are_asked_for(made):
    spec, folder = made
    assert len(preview_split(folder, "train", 3, viewer_of(spec))) == 3


def test_spans_say_what_is_learned_and_what_is_a_control_token(made):
    spec, folder = made
    (sequence,) = preview_split(folder, "train", 1, viewer_of(spec))
    turns = sequence.row["turns"]
    encoded = encode(turns, load_tokenizer(spec.base_model.path), spec.data.chat)
    assert sequence.num_tokens == len(encoded.input_ids)
    assert sequence.num_learned == sum(encoded.target_mask)
    learned = [span for span in sequence.spans if span.is_learned]
    assert [span.is_control for span in learned] == [False, True], "the answer, and its end"


def test_a_row_of_training_and_a_held_out_row_can_be_asked_for(made):
    spec, folder = made
    viewer = viewer_of(spec)
    for split in ("train", "test", "validation"):
        rows = pq.read_table(folder / "rows").to_pylist()
        row = next(row for row in rows if row["split"] == split)
        (sequence,) = preview_row(folder, row["id"], viewer)
        assert sequence.row["id"] == row["id"]
        assert (sequence.place is not None) == (split == "train")
        assert row["turns"][1]["content"] in text_of(sequence, is_learned=True)


def test_a_held_out_split_is_rendered_as_training_would(made):
    spec, folder = made
    shown = preview_split(folder, "validation", 10_000, viewer_of(spec))
    ids = pq.read_table(folder / "eval" / "validation.parquet")["id"].to_pylist()
    assert [sequence.row["id"] for sequence in shown] == ids
    assert all(sequence.num_learned > 0 for sequence in shown)


def test_a_row_that_is_not_kept_is_refused_with_where_it_is(made):
    spec, folder = made
    gone = pq.read_table(folder / "quarantine").to_pylist()[0]
    with pytest.raises(DatasetError, match=f"rejected by {gone['rejected_by']}"):
        preview_row(folder, gone["id"], viewer_of(spec))
    with pytest.raises(DatasetError, match="holds no row 0000000000000000"):
        preview_row(folder, "0" * 16, viewer_of(spec))


def test_a_long_text_is_shown_piece_by_piece(tmp_path, tokenizer_dir):
    write_jsonl(tmp_path / "t.jsonl", [{"text": f"line {n} of prose\n" * 40} for n in range(9)])
    text = source(tmp_path / "t.jsonl", fields={"text": "text"})
    spec = small_spec(tmp_path, tokenizer_dir)
    data = spec.data.model_copy(
        update={"sources": small_data(text).sources, "steps": (), "max_rejected": 1.0}
    )
    spec = spec.model_copy(update={"data": data})
    folder = make_dataset(spec)
    rows = pq.read_table(folder / "rows").to_pylist()
    row = next(row for row in rows if row["split"] == "train")
    shown = preview_row(folder, row["id"], viewer_of(spec))
    assert len(shown) > 1
    by_text = sorted(shown, key=lambda s: row["turns"][0]["content"].find(content_of(s)))
    assert "".join(content_of(sequence) for sequence in by_text).count("prose") == 40


def content_of(sequence) -> str:
    return "".join(span.text for span in sequence.spans if not span.is_control)


def small_data(text):
    from tests.data.corpora import data_spec

    return data_spec(text)


def test_sources_are_shown_before_there_is_a_dataset(tmp_path, tokenizer_dir):
    spec = small_spec(tmp_path, tokenizer_dir, ["no json", *pairs(40)])
    found = preview_sources(spec.data, "train", 6, chain_for(spec), viewer_of(spec))
    shown, trace = found.shown, found.trace
    assert len(shown) == 6
    assert shown[0].row["rejected_by"] == "malformed_json"
    assert [sequence.row["line"] for sequence in shown] == sorted(s.row["line"] for s in shown)
    assert all(sequence.row["split"] in ("train", None) for sequence in shown)
    assert not trace.changes


def test_a_source_that_is_shown_gives_what_its_dataset_gives(made):
    spec, folder = made
    viewer = viewer_of(spec)
    data = spec.data
    found = preview_sources(data, "train", 10_000, chain_for(spec), viewer)
    shown = found.shown
    assert found.trace.rejected_in
    kept = {s.row["id"]: s.spans for s in preview_split(folder, "train", 10_000, viewer)}
    found = {s.row["id"]: s.spans for s in shown if s.spans}
    gone = pq.read_table(folder / "quarantine").to_pylist()
    duplicates = {row["id"] for row in gone if row["rejected_by"] == "exact_duplicate"}
    assert {row_id: found[row_id] for row_id in found.keys() - duplicates} == kept


def test_each_source_is_shown(tmp_path, tokenizer_dir):
    spec = small_spec(tmp_path, tokenizer_dir)
    write_jsonl(tmp_path / "more.jsonl", pairs(30, 500))
    more = small_data(source(tmp_path / "more.jsonl")).sources
    data = spec.data.model_copy(update={"sources": (*spec.data.sources, *more)})
    shown = preview_sources(data, "train", 4, chain_for(spec), viewer_of(spec)).shown
    labels = [sequence.row["source"].partition("/")[0] for sequence in shown]
    assert labels == ["sources.0", "sources.0", "sources.1", "sources.1"]


def test_a_row_too_long_is_shown_with_its_reason(tmp_path, tokenizer_dir):
    long = [{"ask": f"long {n}?", "reply": "z" * 300} for n in range(4)]
    spec = small_spec(tmp_path, tokenizer_dir, long)
    viewer = viewer_of(spec)
    viewer = replace(viewer, encoder=replace(viewer.encoder, split=spec.data.split))
    shown = preview_sources(spec.data, "train", 1, chain_for(spec), viewer).shown
    assert [sequence.row["rejected_by"] for sequence in shown] == ["too_long"]


def test_each_file_of_a_folder_is_shown_and_held_out_rows_are_counted(tmp_path, tokenizer_dir):
    for number in range(3):
        write_jsonl(tmp_path / "many" / f"{number}.jsonl", pairs(60, 100 * number))
    write_jsonl(tmp_path / "many" / "9.jsonl", pairs(1, 900))
    spec = small_spec(tmp_path, tokenizer_dir)
    data = spec.data.model_copy(update={"sources": small_data(source(tmp_path / "many")).sources})
    chain, viewer = chain_for(spec), viewer_of(spec)
    found = preview_sources(data, "train", 40, chain, viewer)
    files = Counter(shown.row["source"].rpartition("/")[2] for shown in found.shown)
    assert set(files) == {"0.jsonl", "1.jsonl", "2.jsonl", "9.jsonl"}
    assert files.total() >= 31
    assert found.elsewhere.total() > 0
    assert set(found.elsewhere) <= {"validation", "test"}
    whole = preview_sources(data, "train", 1000, chain, viewer)
    assert len(whole.shown) + whole.elsewhere.total() == 181, "no row is lost without a word"


def test_only_empty_files_are_named(tmp_path, tokenizer_dir):
    write_jsonl(tmp_path / "none" / "empty.jsonl", [])
    spec = small_spec(tmp_path, tokenizer_dir)
    data = spec.data.model_copy(update={"sources": small_data(source(tmp_path / "none")).sources})
    with pytest.raises(SourceError, match=r"no row at all: sources\.0/empty\.jsonl"):
        preview_sources(data, "train", 5, chain_for(spec), viewer_of(spec))
