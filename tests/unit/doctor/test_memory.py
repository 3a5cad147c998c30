"""The arithmetic against real models: parameters exactly, activations as autograd really keeps them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
import transformers

from alignment_prism.doctor.memory import (
    OVERHEAD,
    ModelShape,
    Plan,
    layer_activations,
    memory_need,
    remedies,
)
from alignment_prism.domain import InputError

SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 160,
    "vocab_size": 512,
}
AYA_23_8B = {
    "model_type": "cohere",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 256000,
}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("CohereConfig", {}),
        ("LlamaConfig", {}),
        ("LlamaConfig", {"tie_word_embeddings": True, "head_dim": 32}),
        ("MistralConfig", {}),
    ],
)
def test_parameters_are_those_of_the_real_model(kind, more):
    config = getattr(transformers, kind)(**SMALL, **more)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    assert ModelShape.from_config(config.to_dict()).count == model.num_parameters()


def test_aya_23_8b_has_the_eight_billion_that_its_name_says():
    assert ModelShape.from_config(AYA_23_8B).count == 8_028_033_024


def test_adapters_are_those_of_the_real_model():
    from peft import LoraConfig, get_peft_model

    config = transformers.LlamaConfig(**SMALL)
    model = get_peft_model(
        transformers.AutoModelForCausalLM.from_config(config), LoraConfig(r=8, target_modules="all-linear")
    )
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    assert ModelShape.from_config(config.to_dict()).adapter(8) == trained


@pytest.mark.parametrize("kind", ["CohereConfig", "LlamaConfig"])
def test_activations_are_near_to_what_autograd_keeps(kind):
    config = getattr(transformers, kind)(
        **{**SMALL, "hidden_size": 128, "intermediate_size": 320}, attn_implementation="sdpa"
    )
    sizes = {}
    for layers in (2, 6):
        config.num_hidden_layers = layers
        model = transformers.AutoModelForCausalLM.from_config(config)
        parameters = {each.untyped_storage().data_ptr() for each in model.parameters()}
        kept: dict[int, int] = {}

        def keep(tensor, kept=kept, parameters=parameters):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in parameters:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        tokens = torch.randint(0, 512, (2, 96))
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(tokens, use_cache=False).logits.sum()
        sizes[layers] = sum(kept.values())
        del loss
    measured = (sizes[6] - sizes[2]) / 4 / tokens.numel()
    assert measured == pytest.approx(layer_activations(ModelShape.from_config(config.to_dict()), 4), rel=0.35)


def _peak(work):
    """Most bytes that were allocated at a time while `work` ran, above what was there before."""
    import gc

    from torch.profiler import ProfilerActivity, profile

    gc.collect()  # what is freed meanwhile would be subtracted
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        work()
    events = [event for event in trace.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


def _held(model):
    """Bytes of a model's weights as they are held, the constants of those in four bits among them."""
    tensors = [*model.parameters()]
    for each in model.parameters():
        if (state := getattr(each, "quant_state", None)) is not None:
            tensors += [state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code]
    storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
    return sum(storages.values())


def _in_four_bits(config, folder):
    """A model of random weights, as a training with `bits: 4` holds it."""
    from alignment_prism.training.base_model import load_model

    pytest.importorskip("bitsandbytes")
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return load_model(folder, "bf16", "sdpa", frozen=True, bits=4)


@pytest.mark.parametrize(("kind", "width"), [("Llama", 128), ("Cohere", 64)])
def test_weights_in_four_bits_are_held_in_the_bytes_that_are_reckoned(kind, width, tmp_path):
    config = getattr(transformers, f"{kind}Config")(
        **{**SMALL, "hidden_size": width, "intermediate_size": 320, "vocab_size": 4000, "eos_token_id": 2}
    )
    shape = ModelShape.from_config(config.to_dict())
    assert shape.frozen(2, 4) == _held(_in_four_bits(config, tmp_path))
    assert shape.frozen(2, 4) < 0.8 * shape.frozen(2)


@pytest.mark.parametrize(
    ("kind", "precision", "rank", "checkpointing", "bits"),
    [
        ("Llama", "bf16", 0, False, None),
        ("Cohere", "fp32", 0, True, None),
        ("Llama", "bf16", 8, True, None),
        ("Cohere", "bf16", 8, False, None),
        ("Llama", "bf16", 8, True, 4),
        ("Cohere", "bf16", 8, False, 4),
    ],
)
def test_a_step_takes_what_is_reckoned_for_it(kind, precision, rank, checkpointing, bits, monkeypatch, tmp_path):
    """The model, the head and the layout that train; a vocabulary whose logits come in chunks."""
    from peft import LoraConfig, get_peft_model

    from alignment_prism.training import Example
    from alignment_prism.training.heads import add_completion_head
    from alignment_prism.training.layouts.batches import PaddedBatch
    from alignment_prism.training.layouts.trees import model_inputs
    from alignment_prism.training.memory import LOGITS_AT_ONCE

    for device in LOGITS_AT_ONCE:
        monkeypatch.setitem(LOGITS_AT_ONCE, device, 64 * 4000)
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=128, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, intermediate_size=320,
        vocab_size=4000, attn_implementation="sdpa", eos_token_id=2,
    )  # fmt: skip
    held = torch.bfloat16 if rank and precision == "bf16" else torch.float32
    plain = transformers.AutoModelForCausalLM.from_config(config).to(held)
    model = _in_four_bits(config, tmp_path) if bits else plain
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    add_completion_head(model, [])
    if rank:
        model = get_peft_model(model, LoraConfig(r=rank, target_modules="all-linear"))
        model.enable_input_require_grads()
    model.train()
    tokens = torch.randint(3, 4000, (2, 3, 90)).tolist()
    pairs = [Example("x", ("en", "none"), tuple(one[0][:7]), (tuple(one[1]), tuple(one[2]))) for one in tokens]
    batch = model_inputs(PaddedBatch(pairs, 0)([0, 1]))

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model(**batch).logps.sum()
        loss.backward()

    here = _held(model)
    moments = 8 * sum(each.numel() for each in model.parameters() if each.requires_grad)
    measured = here + _peak(step) + moments
    plan = Plan(micro_batch=2, length=96, precision=precision, rank=rank, checkpointing=checkpointing, bits=bits)
    reckoned = memory_need(ModelShape.from_config(config.to_dict()), plan)
    assert 0.95 * measured < reckoned.total - OVERHEAD < 1.35 * measured


def test_weights_gradients_and_optimiser_of_full_training():
    shape = ModelShape.from_config(AYA_23_8B)
    need = memory_need(shape, Plan(precision="fp32"))
    assert (need.weights, need.gradients, need.optimiser) == (4 * shape.count, 4 * shape.count, 8 * shape.count)
    assert memory_need(shape, Plan(precision="bf16")).weights == 6 * shape.count
    assert need.total == sum(need.parts().values()) and need.parts()["overhead"] == OVERHEAD
    assert memory_need(shape, Plan(live_reference=True)).reference == 4 * shape.count


def test_adapters_on_8_b_fit_on_one_gpu_of_40_gb_as_the_preset_says():
    shape = ModelShape.from_config(AYA_23_8B)
    need = memory_need(shape, Plan(micro_batch=2, length=2048, checkpointing=True, rank=32))
    adapter = shape.adapter(32)
    # Frozen in bfloat16, adapters in float32 with their copies; the embedding is not trained.
    assert need.weights == 2 * shape.count + 6 * adapter
    assert (need.gradients, need.optimiser, need.head) == (4 * adapter, 8 * adapter, 0)
    assert need.logits == 12 * 2**28  # 8192 tokens times 256,000 entries would be 2 * 10^9 of them
    assert 20e9 < need.total < 40e9
    full = memory_need(shape, Plan(micro_batch=2, length=2048, checkpointing=True))
    assert full.total > 139 * 2**30  # all weights do not fit on one H200
    assert full.head == 8 * 256_000 * 4096


def test_four_bits_are_shared_by_no_gpus_and_are_a_remedy():
    shape = ModelShape.from_config(AYA_23_8B)
    plan = Plan(micro_batch=2, length=2048, checkpointing=True, rank=32)
    need, less = memory_need(shape, plan), memory_need(shape, replace(plan, bits=4))
    maps, embedding = 32 * (shape.per_layer - 4096), 256_000 * 4096
    # Half a byte a number, one for 64 of them, and the embedding and the norms in bfloat16 as before.
    assert shape.frozen(2, 4) == pytest.approx(maps * (1 / 2 + 1 / 64) + 2 * embedding, rel=1e-3)
    assert less.weights < need.weights - 9e9 and replace(less, weights=need.weights) == need
    assert memory_need(shape, replace(plan, bits=4, gpus=8)) == less
    found = remedies(shape, Plan(micro_batch=2), 20e9)
    assert "training.adapter.bits: 4" in found[-1][0] and found[-1][1].gpus == 1
    assert not any(option.bits for _, option, _ in found[:-1])
    assert all(option.gpus == 1 for _, option, _ in remedies(shape, replace(plan, bits=4, micro_batch=4), 20e9))


def test_sharing_checkpointing_and_lengths_do_what_they_do():
    shape = ModelShape.from_config(AYA_23_8B)
    one, eight = memory_need(shape, Plan()), memory_need(shape, Plan(gpus=8))
    assert eight.optimiser == one.optimiser / 8 and eight.activations == one.activations
    # A share of the float32 weights, and in bfloat16 two layers and the embedding, which is whole while it is used.
    assert eight.weights == 4 * shape.count / 8 + 2 * (2 * shape.per_layer + 256_000 * 4096)
    assert eight.gradients == 4 * shape.count / 8 + 4 * shape.per_layer
    assert memory_need(shape, Plan(checkpointing=True)).activations < one.activations / 5
    small = ModelShape.from_config(SMALL)
    assert memory_need(small, Plan(branches=1)).logits == memory_need(small, Plan()).logits / 2
    assert memory_need(shape, Plan(length=1024, micro_batch=2)).activations == one.activations


def test_remedies_fit_and_come_cheapest_first():
    shape = ModelShape.from_config(AYA_23_8B)
    plan = Plan(micro_batch=4, gpus=1)
    found = remedies(shape, plan, 80e9)
    assert found and all(need.total <= 80e9 for _, _, need in found)
    assert "GPUs" in found[0][0] and "adapter" in found[-1][0]
    assert remedies(shape, plan, 1e9) == []
    small = ModelShape.from_config(SMALL)
    fits = memory_need(small, Plan(checkpointing=True, micro_batch=1)).total
    assert "checkpointing" in remedies(small, Plan(), fits)[0][0]


@pytest.mark.parametrize(
    "config", [{}, {"hidden_size": 8}, {**SMALL, "num_attention_heads": 0}, {**SMALL, "vocab_size": "x"}]
)
def test_configs_of_something_else(config):
    with pytest.raises(InputError, match="does not describe a decoder"):
        ModelShape.from_config(config)
