"""The corpus of the running installation: complete, honest and still as messy as it was found."""

import re
from pathlib import Path

import pytest

from loray.data.split import SPLITS, split_of
from loray.quickstart import corpus as built
from loray.quickstart.corpus import SEED, SPLIT, is_held_out, write_corpus
from loray.quickstart.corpus_modules import modules_under
from loray.spec.load import load_run_spec


@pytest.mark.slow
def test_both_tasks_answer_the_same_prompts(corpus):
    prompts = [[(r["module"], r["signature"]) for r in corpus[t]] for t in ("docstring", "call")]
    assert prompts[0] == prompts[1]
    assert len(prompts[0]) > 2000


@pytest.mark.slow
def test_every_row_has_text_in_every_column(corpus):
    columns = {
        "docstring": {"module", "signature", "docstring"},
        "call": {"module", "signature", "call"},
        "prose": {"module", "text"},
    }
    for stem, names in columns.items():
        assert all(set(row) == names for row in corpus[stem])
        assert all(value.strip() for row in corpus[stem] for value in row.values())


@pytest.mark.slow
def test_no_row_comes_from_a_test_package(corpus):
    parts = {part for rows in corpus.values() for r in rows for part in r["module"].split(".")}
    assert not parts & {"test", "tests", "idle_test", "site-packages"}


@pytest.mark.slow
def test_every_split_has_enough_modules_and_rows_to_judge_by(corpus):
    for stem, rows in corpus.items():
        place = {row["module"]: split_of(row["module"], SPLIT, SEED) for row in rows}
        for split in SPLITS:
            assert sum(place[row["module"]] == split for row in rows) >= 100, (stem, split)
            assert sum(where == split for where in place.values()) >= 10, (stem, split)


@pytest.mark.slow
def test_the_mess_that_curation_is_for_is_still_there(corpus):
    prose = [row["text"] for row in corpus["prose"]]
    assert any(re.search(r"[\w.]+@\w+\.\w+", text) for text in prose)
    assert any("http://" in text for text in prose)
    assert any("  " in text for text in prose)
    for stem, answer in (("docstring", "docstring"), ("call", "call")):
        pairs = [(row["signature"], row[answer]) for row in corpus[stem]]
        assert len(set(pairs)) < len(pairs)


def small_library(root: Path) -> None:
    (root / "tests").mkdir(parents=True)
    (root / "tests" / "test_lists.py").write_text('def f(a):\n    """Return a tested thing."""\n')
    (root / "lists.py").write_text('def f(a):\n    """Return a  double-spaced thing."""\n')
    (root / "broken.py").write_text("def f(:\n")
    (root / "latin.py").write_bytes(b"# \xe9\n")
    (root / "inner").mkdir()
    (root / "inner" / "__init__.py").write_text("x = 1\n")


def test_modules_come_by_name_without_tests_and_without_broken_files(tmp_path):
    small_library(tmp_path)
    assert [module.name for module in modules_under(tmp_path)] == ["inner", "lists"]


def test_the_same_sources_give_the_same_bytes(tmp_path, monkeypatch):
    small_library(tmp_path / "library")
    monkeypatch.setattr(built, "standard_library", lambda: modules_under(tmp_path / "library"))
    for name in ("one", "two"):
        assert write_corpus(tmp_path / name)["docstring.jsonl"] == 1
    for stem in ("docstring", "call", "prose"):
        files = [(tmp_path / name / f"{stem}.jsonl").read_bytes() for name in ("one", "two")]
        assert files[0] == files[1]


@pytest.mark.parametrize("task", ["docstring", "call"])
def test_the_specs_hold_out_what_the_base_never_read(task, repository):
    spec = load_run_spec(repository / "configs" / "runs" / f"{task}.yaml")
    assert (spec.seed, spec.data.split) == (SEED, SPLIT)
    for source in (*spec.data.sources, spec.data.replay.source):
        assert source.fields.group == "module"


def test_the_first_question_of_the_quickstart_is_about_a_held_out_module():
    assert is_held_out("difflib")
