import pytest

from loray.data.sources.files import find_files
from loray.errors import SourceError
from loray.spec.local_files import glob_pattern
from tests.data.corpora import data_spec, source


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def names(*sources, **blocks):
    return [file.key for file in find_files(data_spec(*sources, **blocks))]


def test_a_path_names_one_file(tmp_path):
    touch(tmp_path, "a.jsonl", "b.jsonl")
    assert names(source(tmp_path / "a.jsonl")) == ["sources.0/a.jsonl"]


def test_a_glob_names_files_in_order_below_its_fixed_part(tmp_path):
    touch(tmp_path, "z/1.jsonl", "a/2.jsonl", "a/1.jsonl", "a/1.txt", "1.jsonl", "a/deep/3.jsonl")
    assert names(source(tmp_path / "*" / "*.jsonl")) == [
        "sources.0/a/1.jsonl",
        "sources.0/a/2.jsonl",
        "sources.0/z/1.jsonl",
    ]
    assert len(names(source(tmp_path / "**" / "*.jsonl"))) == 5
    assert names(source(tmp_path / "*.jsonl")) == ["sources.0/1.jsonl"]


def test_a_corpus_that_moves_keeps_its_names(tmp_path):
    touch(tmp_path, "here/x.jsonl", "there/deeper/x.jsonl")
    assert names(source(tmp_path / "here" / "*.jsonl")) == names(
        source(tmp_path / "there" / "deeper" / "x.jsonl")
    )


def test_sources_and_replay_go_by_their_labels(tmp_path):
    touch(tmp_path, "a.jsonl", "b.jsonl", "c.jsonl")
    replay = {"source": source(tmp_path / "c.jsonl")}
    found = find_files(
        data_spec(source(tmp_path / "b.jsonl"), source(tmp_path / "a.jsonl"), replay=replay)
    )
    assert [file.key for file in found] == [
        "sources.0/b.jsonl",
        "sources.1/a.jsonl",
        "replay/c.jsonl",
    ]
    assert [file.suite for file in found] == ["task", "task", "replay"]


@pytest.mark.parametrize("uri", ["gone.jsonl", "gone/*.jsonl", "*.csv", "empty"])
def test_a_path_or_glob_without_files_is_refused_at_once(tmp_path, uri):
    touch(tmp_path, "a.jsonl", "empty/.hidden.jsonl", "empty/notes.txt")
    with pytest.raises(SourceError, match=r"data\.sources\.0: found (no file|the folder)"):
        names(source(tmp_path / uri))


def test_a_file_whose_name_holds_brackets_is_found_by_its_name(tmp_path):
    touch(tmp_path, "a[1].jsonl", "a1.jsonl")
    assert names(source(tmp_path / "a[1].jsonl")) == ["sources.0/a[1].jsonl"]


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("a/*.gz", "a/x.gz", True),
        ("a/*.gz", "a/b/x.gz", False),
        ("a/**/x", "a/x", True),
        ("a/**/x", "a/b/c/x", True),
        ("a/?.x", "a/b.x", True),
        ("a/?.x", "a/bc.x", False),
        ("a/[bc].x", "a/b.x", True),
        ("a/[!bc].x", "a/b.x", False),
        ("a/b.x", "a/bxx", False),
        ("a/(b)+$", "a/(b)+$", True),
    ],
)
def test_globs_match_as_shells_do(glob, path, matches):
    assert bool(glob_pattern(glob).fullmatch(path)) == matches


def test_objects_in_a_bucket_are_files(lake, s3_endpoint):
    for key in ("names/a/1.jsonl", "names/a/2.jsonl", "names/b.jsonl"):
        with lake.open_output_stream(f"lake/{key}") as stream:
            stream.write(b"x")
    s3 = {"endpoint": s3_endpoint}
    assert names(source("s3://lake/names/a/*.jsonl", s3=s3)) == [
        "sources.0/1.jsonl",
        "sources.0/2.jsonl",
    ]
    assert len(names(source("s3://lake/names/**/*.jsonl", s3=s3))) == 3
    with pytest.raises(SourceError, match="names no file"):
        names(source("s3://lake/names/gone.jsonl", s3=s3))


def test_a_bucket_that_cannot_be_reached_is_named(s3_endpoint):
    with pytest.raises(SourceError, match=r"s3://absent/x/\*\.jsonl"):
        names(source("s3://absent/x/*.jsonl", s3={"endpoint": s3_endpoint}))
