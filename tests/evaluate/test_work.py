from pathlib import Path

import pytest

from loray.errors import EvaluationError
from loray.evaluate.candidate_files import pack, unpacked
from loray.evaluate.rows import SUITES, Row, list_checkpoints, read_suite
from loray.evaluate.work import ROWS_PER_ITEM, gather, metrics_of, to_choose, to_judge
from loray.spec.evaluate import EvalSpec, GateSpec
from tests.evaluate.evaluations import checkpoint, make_rows, results_of, run_spec, write_suite

SUITES_OF_200 = {suite: make_rows(200, prefix=suite) for suite in SUITES}
CHECKPOINTS = (checkpoint(10), checkpoint(20))


def test_every_row_is_in_exactly_one_item_of_its_candidate_and_suite() -> None:
    items = to_choose(CHECKPOINTS, SUITES_OF_200, run_spec())
    seen = [(i.candidate.name, i.suite, row.id) for i in items for row in i.rows]
    assert len(seen) == len(set(seen)) == 200 * (3 + len(CHECKPOINTS))
    assert max(len(item.rows) for item in items) == ROWS_PER_ITEM


def test_the_cut_does_not_depend_on_resources() -> None:
    from loray.spec.run import ResourceSpec

    wide = run_spec(resources=ResourceSpec(eval_actors=64, workers=1, cpus_per_worker=8))
    assert to_choose(CHECKPOINTS, SUITES_OF_200, wide) == to_choose(
        CHECKPOINTS, SUITES_OF_200, run_spec()
    )


def test_a_checkpoint_decodes_on_validation_rows_only_when_the_choice_needs_it() -> None:
    by_perplexity = to_choose(CHECKPOINTS, SUITES_OF_200, run_spec())
    assert {(i.candidate.name, i.suite) for i in by_perplexity if i.generate} == {("base", "test")}
    spec = run_spec(evaluate=EvalSpec(select_by="rougeL"))
    decoded = {i.candidate.name for i in to_choose(CHECKPOINTS, SUITES_OF_200, spec) if i.generate}
    assert decoded == {"base", "step-000010", "step-000020"}


def test_the_chosen_checkpoint_alone_meets_the_test_rows() -> None:
    items = to_choose(CHECKPOINTS, SUITES_OF_200, run_spec())
    assert {i.candidate.name for i in items if i.suite != "validation"} == {"base"}
    judged = to_judge(CHECKPOINTS[1], SUITES_OF_200, run_spec())
    assert {(i.candidate.name, i.suite) for i in judged} == {
        ("step-000020", "test"),
        ("step-000020", "general"),
    }


def test_perplexity_is_always_measured_and_gates_say_what_else_on_general_rows() -> None:
    gate = GateSpec(metric="bleu", suite="general", at_least=0.1)
    spec = run_spec(gates=(gate,), replay=True)
    assert metrics_of("general", spec) == ("perplexity", "bleu")
    assert metrics_of("general", run_spec()) == ("perplexity",)
    only_text = EvalSpec(metrics=("exact_match",), select_by="exact_match")
    assert metrics_of("test", run_spec(evaluate=only_text)) == ("perplexity", "exact_match")


def test_results_are_gathered_in_the_order_of_rows_whatever_finished_first() -> None:
    items = to_choose(CHECKPOINTS, SUITES_OF_200, run_spec())
    done = {item: results_of(item.rows, nats=1.0) for item in reversed(items)}
    found = gather(done)
    for (_, suite), results in found.items():
        assert [r.id for r in results] == [row.id for row in SUITES_OF_200[suite]]


def test_suites_hold_the_first_rows_by_id(tmp_path: Path) -> None:
    rows = make_rows(9)
    write_suite(tmp_path, "test", rows[::-1])
    assert read_suite(tmp_path, "test", max_rows=4) == rows[:4]
    assert read_suite(tmp_path, "general", max_rows=4) == ()


def test_raw_text_rows_and_empty_suites_can_be_read(tmp_path: Path) -> None:
    write_suite(tmp_path, "test", (Row("a", (), "only text"),))
    assert read_suite(tmp_path, "test", max_rows=4) == (Row("a", (), "only text"),)
    write_suite(tmp_path, "validation", ())
    assert read_suite(tmp_path, "validation", max_rows=4) == ()


def test_checkpoints_come_by_step_and_strangers_are_passed_over(tmp_path: Path) -> None:
    for name in ("step-000100", "step-000020", "step-1000000", "step-final", "other"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-000050").write_text("a file, no folder")
    assert [c.step for c in list_checkpoints(tmp_path)] == [20, 100, 1000000]


def test_a_training_without_checkpoints_cannot_be_evaluated(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="holds no checkpoints/step-NNNNNN folder"):
        list_checkpoints(tmp_path)


def test_a_folder_survives_the_journey_to_an_actor(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.bin").write_bytes(bytes(range(256)))
    (tmp_path / "a.json").write_text("{}")
    files = pack(tmp_path)
    assert list(files) == ["a.json", "deep/b.bin"]
    with unpacked(files) as folder:
        assert pack(folder) == files
    assert not folder.exists()
