"""`loray doctor` before there is anything to look into."""

from loray.cli.exits import Exit


def test_a_run_that_never_was_is_an_error_that_says_what_to_do(loray, workplace):
    said = loray("doctor", "run", "spec.yaml")
    assert said.code == Exit.FAILED
    assert "no training of my-bot has left a checkpoint; run `loray apply spec.yaml`" in said.err


def test_rates_that_do_not_rise_are_refused(loray, workplace):
    said = loray("doctor", "lr", "spec.yaml", "--lowest", "0.1", "--highest", "0.01")
    assert said.code == Exit.WRONG_SPEC
    assert "--lowest 0.1 must be below --highest 0.01" in said.err
    assert loray("doctor", "lr", "spec.yaml", "--steps", "3").code == Exit.WRONG_SPEC
    assert loray("doctor", "lr", "spec.yaml", "--highest", "0").code == Exit.WRONG_SPEC


def test_diagnoses_that_were_cut_off_are_named(loray, workplace):
    from loray.artifacts.diagnosis import DIAGNOSES_NAME
    from loray.artifacts.store import Store
    from loray.pipeline.plan import make_plan
    from loray.spec.load import load_checked

    stage = make_plan(load_checked("spec.yaml")).stages[1].stage
    torn = Store("workspace").work_folder(stage) / DIAGNOSES_NAME
    torn.write_text('{"kind": "failed", "st')
    said = loray("doctor", "run", "spec.yaml")
    assert said.code == 1
    assert f"{torn} is damaged (JSONDecodeError); run `loray apply spec.yaml`" in said.err
