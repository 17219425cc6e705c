"""Base folders whose config names another model than their files hold, each with what is found."""

from tests.bases import CONFIG
from tests.planner.broken_bases import Change, config, weights

NO_DECODER = "transformers builds no decoder of this type that loray can adapt"
LAYERS = ("full_attention", "sliding_attention")
MISNAMED: dict[str, tuple[Change, tuple[str, ...]]] = {
    "Llama 4's type over Llama's sizes": (config(model_type="llama4"), (NO_DECODER,)),
    "a part of Llama 4": (config(model_type="llama4_text"), (NO_DECODER,)),
    "Qwen3.5": (config(model_type="qwen3_5"), (NO_DECODER,)),
    "Gemma 4": (config(model_type="gemma4"), (NO_DECODER,)),
    "Gemma 3n's text": (config(model_type="gemma3n_text"), (NO_DECODER,)),
    "Mixtral without its experts": (config(model_type="mixtral"), (NO_DECODER,)),
    "GPT-OSS": (config(model_type="gpt_oss"), (NO_DECODER,)),
    "Mamba": (config(model_type="mamba"), (NO_DECODER,)),
    "BERT": (config(model_type="bert"), (NO_DECODER,)),
    "a type that nobody has": (config(model_type="llama3"), (NO_DECODER, "correct model_type")),
    "a type in capitals": (config(model_type="LLaMA"), (NO_DECODER,)),
    "text in a model of several parts": (
        config(model_type="llava", text_config={**CONFIG}), ("save its language model by itself",)
    ),
    "text in a part of another name": (
        config(model_type="internvl_chat", llm_config={**CONFIG}), ("images or sound",)
    ),
    "another class": (
        config(architectures=["MistralForCausalLM"]),
        ("names the class 'MistralForCausalLM'", "makes a LlamaForCausalLM", "correct the one"),
    ),
    "a class of the next version": (
        config(model_type="gemma", architectures=["Gemma2ForCausalLM"], head_dim=16),
        ("names the class 'Gemma2ForCausalLM'",),
    ),
    "a class that is not known": (
        config(architectures=["BaichuanForCausalLM"]), ("names the class 'BaichuanForCausalLM'",)
    ),
    "an untested type over other files": (
        config(model_type="starcoder2", architectures=None),
        ("wanted those of type starcoder2: q_proj, k_proj, v_proj, o_proj, c_fc, c_proj",),
    ),
    "an untested type with other heads": (
        config(model_type="ernie4_5", architectures=None, head_dim=..., num_key_value_heads=...),
        ("q_proj of shape (64, 64); wanted (512, 64)", "num_key_value_heads 2 and head_dim 128"),
    ),
    "an untested type of another vocabulary": (
        config(model_type="seed_oss", architectures=None, head_dim=16, vocab_size=400),
        ("no embedding of shape (400, 64)",),
    ),
    "an untested type in 8 bits": (
        lambda f: (
            config(model_type="arcee", architectures=None)(f), weights(dtype="F8_E4M3")(f)
        ),
        ("as F8_E4M3",),
    ),
    "heads that transformers fills in": (
        config(model_type="mistral", architectures=None, num_key_value_heads=...),
        ("k_proj.weight of shape (32, 64); config.json wants (128, 64)",),
    ),
    "a head size that transformers fills in": (
        config(model_type="gemma", architectures=None, head_dim=...),
        ("q_proj.weight of shape (64, 64); config.json wants (1024, 64)",),
    ),
    "a null that its type refuses": (
        config(model_type="mistral", architectures=None, num_key_value_heads=None),
        ("num_key_value_heads null; wanted a value, or no such key",),
    ),
    "no epsilon": (config(rms_norm_eps=None), ("rms_norm_eps null",)),
    "a whole epsilon": (config(rms_norm_eps=1), ("rms_norm_eps 1; wanted a number such as 1e-6",)),
    "kinds of layers for more layers": (
        config(model_type="qwen3", architectures=None, head_dim=16, layer_types=["full_attention"]),
        ("1 layer_types for 2 layers",),
    ),
    "norms of Qwen3 in a Llama": (
        weights(model__layers__0__self_attn__q_norm__weight=(16,)),
        ("hold model.layers.0.self_attn.q_norm.weight", "type 'llama' does not have"),
    ),
    "no norms": (
        weights(model__layers__0__input_layernorm__weight=None),
        ("lack model.layers.0.input_layernorm.weight",),
    ),
    "GPTQ without a word of it": (
        weights(
            model__layers__0__mlp__up_proj__weight=None,
            model__layers__0__mlp__up_proj__qweight=(8, 128),
        ),
        ("lack model.layers.0.mlp.up_proj.weight", "hold model.layers.0.mlp.up_proj.qweight"),
    ),
    "GPTQ": (
        config(quantization_config={"quant_method": "gptq", "bits": 4}), ("already ('gptq'",)
    ),
    "fp8": (
        config(quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]}),
        ("already ('fp8'", "name the model that it was quantized from"),
    ),
    "8 bits": (
        config(quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True}),
        ("already ('bitsandbytes'",),
    ),
    "compressed": (
        config(quantization_config={"quant_method": "compressed-tensors", "format": "int"}),
        ("already ('compressed-tensors'",),
    ),
    "compressed, old": (
        config(compression_config={"quant_method": "compressed-tensors"}),
        ("already ('compressed-tensors', compression_config",),
    ),
    "quantized by a list": (config(quantization_config=[]), ("already ('unknown'",)),
    "bytes of NF4": (
        weights(model__layers__0__mlp__up_proj__weight=(4096, 1)),
        ("up_proj.weight of shape (4096, 1)",),
    ),
    "rope by kind of layer": (
        config(rope_parameters={k: {"rope_type": "linear", "factor": 8.0} for k in LAYERS}),
        ("rope_parameters by kind of layer", "leave out for a model of type 'llama'"),
    ),
    "rope without a type": (
        config(rope_scaling={"factor": 8.0}),
        ("factor' in rope_scaling, but no rope_type", "would leave it out", "such as linear"),
    ),
}  # fmt: skip
"""A folder's change, and words of what is found."""
