from loray.data import source_identity
from tests.data.corpora import data_spec, source, write_jsonl


def test_a_corpus_is_known_by_its_content_and_not_by_its_place(tmp_path):
    here = write_jsonl(tmp_path / "here" / "x.jsonl", [{"a": 1}])
    there = write_jsonl(tmp_path / "there" / "x.jsonl", [{"a": 1}])
    first = source_identity(data_spec(source(here)))
    assert first == source_identity(data_spec(source(there)))
    write_jsonl(there, [{"a": 2}])
    assert first != source_identity(data_spec(source(there)))


def test_every_file_of_a_glob_and_replay_counts(tmp_path):
    for name in ("a", "b"):
        write_jsonl(tmp_path / f"{name}.jsonl", [name])
    replay = {"source": source(tmp_path / "a.jsonl")}
    found = source_identity(data_spec(source(tmp_path / "*.jsonl"), replay=replay))
    assert sorted(found) == ["replay/a.jsonl", "sources.0/a.jsonl", "sources.0/b.jsonl"]


def test_an_object_is_known_by_its_entity_tag(lake, s3_endpoint):
    spec = data_spec(source("s3://lake/tag/x.jsonl", s3={"endpoint": s3_endpoint}))
    found = []
    for content in (b"one", b"two", b"one"):
        with lake.open_output_stream("lake/tag/x.jsonl") as stream:
            stream.write(content)
        found.append(source_identity(spec)["sources.0/x.jsonl"])
    assert found[0] == found[2] != found[1]
    assert found[0].startswith("etag:")
    assert len(found[0]) > len("etag: size:3")


def test_asking_for_it_loads_neither_ray_nor_torch():
    import subprocess
    import sys

    code = (
        "import sys; from loray.data import source_identity\n"
        "print('ray' in sys.modules, 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False"]
