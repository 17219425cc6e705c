import pytest


def test_a_plan_names_every_stage_and_why_it_would_run(loray):
    said = loray("plan", "spec.yaml")
    assert said.code == 0
    for kind in ("dataset", "training", "evaluation"):
        assert any(line.startswith(kind) and "to make" in line for line in said.out.splitlines())
    assert "never made" in said.out


def test_a_plan_counts_parameters_tokens_and_memory(loray):
    said = loray("plan", "spec.yaml", "--json")
    taken = said.document["forecast"]
    assert taken["base_parameters"] == 19_200 + 2 * (12_288 + 24_576 + 128) + 64
    assert taken["learned_parameters"] == 2 * 16 * (2 * 128 + 2 * 96 + 3 * 192)
    assert taken["tokens_per_step"] == 16 * 1024
    assert taken["worker_bytes"]["total"] == pytest.approx(
        sum(size for name, size in taken["worker_bytes"].items() if name != "total")
    )
    assert taken["fits"] is None


@pytest.mark.parametrize(("gib", "verdict"), [("80", True), ("0.1", False)])
def test_a_plan_says_whether_a_worker_fits_a_device(loray, gib: str, verdict: bool):
    said = loray("plan", "spec.yaml", "--json", "--device-gib", gib)
    assert said.document["forecast"]["fits"] is verdict
    words = loray("plan", "spec.yaml", "--device-gib", gib).out
    assert ("a worker fits a device" in words) is verdict


def test_a_plan_shows_what_a_worker_holds_at_each_moment(loray):
    lines = loray("plan", "spec.yaml").out.splitlines()
    head = next(line for line in lines if line.startswith("ONE WORKER, ON A CPU"))
    assert head.split()[-3:] == ["LOADING", "STEP", "CHECKPOINT"]
    for held in ("weights", "activations", "beginning", "checkpoint", "in all"):
        assert any(line.startswith(held) for line in lines)
    moments = loray("plan", "spec.yaml", "--json").document["forecast"]["moments"]
    assert list(moments) == ["loading", "step", "checkpoint"]
    assert all(moment["host_bytes"] == {} for moment in moments.values())


def test_a_plan_for_gpus_shows_their_hosts_memory_and_the_hours(loray):
    said = loray("plan", "spec.yaml", "--device", "a100-80g:2")
    assert "ONE WORKER, ON ITS GPU" in said.out
    assert "BESIDE THE GPU" in said.out
    assert "mapped files" in said.out
    assert "hours at 35%" in said.out
    document = loray("plan", "spec.yaml", "--device", "a100-80g:2", "--json").document
    assert document["hours"] > 0
    for device, dtype in (("t4:2", "bfloat16"), ("a100-80g:2", "float32")):
        said = loray("plan", "spec.yaml", "--device", device, "--set", f"base_model.dtype={dtype}")
        assert "time         not known but for base_model.dtype: bfloat16" in said.out
    host = document["forecast"]["moments"]["checkpoint"]["host_bytes"]
    assert host["checkpoint"] == (12 + 2) * document["forecast"]["learned_parameters"]


def test_a_plan_for_so_many_devices_is_for_so_many_workers(loray):
    fewest = ("--set", "resources.workers=4", "--set", "resources.min_workers=2")
    assert "number of workers, 2 to 4, takes most" in loray("plan", "spec.yaml", *fewest).out
    said = loray("plan", "spec.yaml", "--device", "a100-80g:1", *fewest)
    assert said.code == 0
    assert "min_workers" not in said.out


def test_what_cannot_run_is_refused_on_any_device(loray):
    biases = ("--set", "method={kind: lora, biases: all}")
    said = loray("plan", "spec.yaml", "--device", "a100-80g:1", *biases)
    assert (said.code, "the base model has no bias there" in said.err) == (2, True)


def test_a_base_model_of_another_kind_is_refused_before_anything_starts(loray, workplace):
    (workplace / "base" / "config.json").write_text('{"model_type": "gpt2"}')
    said = loray("plan", "spec.yaml")
    assert said.code == 2
    assert "found a base model of type 'gpt2', which loray can neither train nor serve" in said.err


def test_status_of_a_spec_that_never_ran_is_that_all_is_to_make(loray):
    said = loray("status", "spec.yaml", "--json")
    assert said.code == 0
    assert [row["state"] for row in said.document["stages"]] == ["to make"] * 3


def test_status_names_the_process_that_makes_a_stage(loray, workplace):
    from loray.registry import RunLedger

    dataset = loray("status", "spec.yaml", "--json").document["stages"][0]
    with RunLedger("sqlite:///workspace/registry.db").acquire(dataset["artifact"]):
        row = loray("status", "spec.yaml", "--json").document["stages"][0]
    assert row["state"] == "being made"
    assert row["about"].startswith("attempt 1 on ")


@pytest.mark.parametrize("stage", [0, 1])
def test_a_second_apply_is_refused_before_ray_starts(loray, workplace, stage: int):
    from loray.registry import RunLedger

    held = loray("status", "spec.yaml", "--json").document["stages"][stage]["artifact"]
    with RunLedger("sqlite:///workspace/registry.db").acquire(held):
        said = loray("apply", "spec.yaml")
    assert said.code == 3
    assert f"{held} is held by process" in said.err
    assert "starting Ray" not in said.out


def test_a_report_before_anything_was_scored_says_what_to_do(loray):
    said = loray("report", "spec.yaml")
    assert said.code == 1
    assert "run `loray apply spec.yaml` to make it" in said.err


BIG = (
    "base_model.path=meta-llama/Llama-2-70b-hf",
    "base_model.revision=main",
    "data.sequence.max_tokens=2048",
    "train.gradient_checkpointing=true",
)


def changed(*changes: str) -> list[str]:
    return [part for change in changes for part in ("--set", change)]


def test_what_if_needs_neither_the_model_nor_the_rows(loray, workplace, monkeypatch):
    """70B on one node of four: QLoRA fits, full training does not, and the plan says what to do."""
    monkeypatch.setenv("HF_HOME", str(workplace / "hub"))
    (workplace / "rows.jsonl").unlink()
    fits = loray("plan", "spec.yaml", "--device", "a100-80g:4", "--json", *changed(*BIG))
    assert fits.document["forecast"]["fits"] is True
    assert fits.document["forecast"]["base_parameters"] == 68_976_648_192

    full = changed(*BIG, "method.kind=full", "base_model.quantization=none")
    said = loray("plan", "spec.yaml", "--device", "a100-80g:4", *full)
    assert said.code == 5
    assert "a worker does not fit" in said.out
    assert "use method.kind: lora" in said.out


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("h100-80", "did you mean h100-80g? "),
        ("quantum", "found 'quantum'; wanted one of t4"),
        ("0gib", "found '0gib'; wanted one of t4"),
        ("h200:many", "wanted how many there are"),
        ("h200:0", "wanted how many there are"),
    ],
)
def test_a_device_that_is_not_known_is_refused_with_those_that_are(loray, device, message):
    said = loray("plan", "spec.yaml", "--device", device)
    assert said.code == 2
    assert message in said.err


def test_one_device_or_the_other(loray):
    said = loray("plan", "spec.yaml", "--device", "h200", "--device-gib", "8")
    assert said.code == 2
    assert "not both" in said.err


@pytest.mark.parametrize(
    ("device", "gib"),
    [
        ("h100", 79.6), ("H100:8", 79.6), ("a100", 80.0), ("rtx5090", 31.8), ("RTX 5090", 31.8),
        ("5090:2", 31.8), ("nvidia geforce rtx 4090", 24.0), ("b200:8", 179.1), ("96gib:2", 96.0),
    ],
)  # fmt: skip
def test_a_device_goes_by_the_names_that_people_use(loray, device: str, gib: float):
    said = loray("plan", "spec.yaml", "--device", device, "--json")
    assert said.code == 0
    assert said.document["forecast"]["device_bytes"] / 2**30 == pytest.approx(gib, abs=0.05)


def test_what_a_short_name_stands_for_is_told(loray):
    assert (
        "device       a100-80g, 80.0 GiB: what a100 stands"
        in loray("plan", "spec.yaml", "--device", "a100").out
    )
    assert "stands for" not in loray("plan", "spec.yaml", "--device", "a100-80g").out


def test_a_plan_that_does_not_fit_ends_with_5(loray):
    assert loray("plan", "spec.yaml", "--device-gib", "0.1").code == 5
    assert loray("plan", "spec.yaml", "--device-gib", "0.1", "--json").code == 5


def test_a_plan_tells_of_a_rank_above_a_layers_own_and_of_a_nodes_memory(loray):
    wide, narrow = (("--set", f"method={{kind: lora, rank: {rank}}}") for rank in (64, 32))
    assert "above the 32 directions that an update of" in loray("plan", "spec.yaml", *wide).out
    assert "directions" not in loray("plan", "spec.yaml", *narrow).out
    said = loray("plan", "spec.yaml", "--set", "resources.workers=4")
    assert "a node of 4 workers: " in said.out
