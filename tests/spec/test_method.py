import pytest

from loray.errors import SpecError
from loray.spec.load import parse_run_spec
from loray.spec.train import LoraMethod, PatternSpec

SPEC = """\
name: small
base_model: {path: base}
data: {sources: [{kind: jsonl, uri: x, fields: {text: t}}]}
train: {steps: 1}
"""


def test_the_first_pattern_that_fits_a_module_counts():
    patterns = (
        PatternSpec(modules="layers.1.self_attn.q_proj", rank=32),
        PatternSpec(modules="q_proj", rank=4),
        PatternSpec(modules="up_proj", alpha=1),
    )
    method = LoraMethod(rank=8, patterns=patterns)
    assert method.rank_of("model.layers.1.self_attn.q_proj") == 32
    assert method.rank_of("model.layers.11.self_attn.q_proj") == 4
    assert method.rank_of("model.layers.1.mlp.up_proj") == 8
    assert method.max_rank == 32


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("method.patterns=[{modules: q_proj}]", "neither rank nor alpha is given"),
        (
            "method={kind: lora, targets: [q_proj], patterns: [{modules: up_proj, rank: 2}]}",
            "ends in no targeted projection (q_proj)",
        ),
        ("method.patterns=[{modules: '(a+)+', rank: 2}]", "found '(a+)+'"),
        (
            "method.patterns=[{modules: q_proj, rank: 99}]",
            "less than a rank in method.patterns, 99",
        ),
        (
            "method={kind: lora, init: pissa, dora: true}",
            "init is pissa, which ends as a plain LoRA",
        ),
        ("method={kind: lora, init: pissa}", "base_model.quantization is nf4: what is left"),
        ("method={kind: lora, init: pissa, rank: 600}", "saves a rank of 1200, twice what learns"),
        ("method={kind: lora, init: pissa, rank: 33}", "less than twice method.rank, 66"),
        (
            "method={kind: lora, init: pissa, patterns: [{modules: q_proj, rank: 40}]}",
            "less than twice a rank in method.patterns, 80",
        ),
        ("method={kind: lora, biases: some}", "found text 'some'; wanted none, targets or all"),
        ("train.optimizer.lora_plus_ratio=0.5", "wanted a number from 1 to 1000"),
    ],
)
def test_a_form_that_cannot_be_is_refused_with_the_remedy(override, message):
    with pytest.raises(SpecError) as refused:
        parse_run_spec(SPEC, overrides=["method.kind=lora", override])
    assert message in str(refused.value)


def test_zero_0_in_bfloat16_is_refused_with_what_is_legal():
    strategy = "train.strategy={kind: deepspeed, zero_stage: 0}"
    with pytest.raises(SpecError) as refused:
        parse_run_spec(SPEC, overrides=[strategy])
    assert "use zero_stage: 1, or strategy: {kind: plain}" in str(refused.value)
    for legal in ([strategy, "base_model.dtype=float32"], ["train.strategy={kind: plain}"]):
        assert parse_run_spec(SPEC, overrides=legal)


def test_two_learning_rates_need_two_factors():
    changes = [
        "method={kind: full}",
        "base_model.quantization=none",
        "train.optimizer.lora_plus_ratio=16",
    ]
    with pytest.raises(SpecError, match="has no A and B"):
        parse_run_spec(SPEC, overrides=changes)


def test_8_bit_moments_are_refused_where_they_cannot_be_saved_or_held():
    def kind(name):
        return f"train.optimizer.kind={name}"

    plain, gpu = "train.strategy={kind: plain}", "resources.gpus_per_worker=1"
    refused = {
        (kind("adamw_8bit"),): "out of whose shards 8-bit moments cannot be saved",
        (kind("paged_adamw_8bit"), plain): "only a GPU has pages to move; use adamw_8bit",
        (kind("adamw_4bit"), plain): "adamw_4bit",
    }
    for changes, message in refused.items():
        with pytest.raises(SpecError, match=message):
            parse_run_spec(SPEC, overrides=list(changes))
    for changes in ([kind("adamw_8bit"), plain], [kind("paged_adamw_8bit"), plain, gpu]):
        assert parse_run_spec(SPEC, overrides=changes)


@pytest.mark.parametrize(
    ("strategy", "name"),
    [("{kind: fsdp}", "fsdp"), ("{kind: deepspeed, zero_stage: 3}", "zero-3")],
)
def test_eva_is_refused_where_no_worker_holds_the_whole_model(strategy, name):
    eva = "method={kind: lora, init: eva}"
    with pytest.raises(SpecError) as refused:
        parse_run_spec(SPEC, overrides=[eva, f"train.strategy={strategy}"])
    assert f"found eva, but train.strategy is {name}: no worker holds" in str(refused.value)
    assert "use one of plain, pipeline, zero-0, zero-1, zero-2" in str(refused.value)
    for legal in ([eva], [eva, "train.strategy={kind: plain}"], [eva, "method.dora=true"]):
        assert parse_run_spec(SPEC, overrides=legal)


def test_a_pipeline_needs_two_workers_who_read_the_same_sequences():
    pipeline = "train.strategy={kind: pipeline}"
    with pytest.raises(SpecError, match="of which every worker holds one stage; use 2 or more"):
        parse_run_spec(SPEC, overrides=[pipeline])
    wide = [pipeline, "resources.workers=3", "train.batch.micro_size=4"]
    run = parse_run_spec(SPEC, overrides=wide)
    assert (run.replicas, run.sequences_per_pass, run.accumulation_steps) == (1, 4, 4)
    with pytest.raises(SpecError, match="found 6, but a pipeline x micro_size 4 = 4 sequences"):
        parse_run_spec(SPEC, overrides=[*wide, "train.batch.global_size=6"])
