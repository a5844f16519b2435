"""Pipelines of diffusers with our scheduler: text to image, image to image, inpainting, loading."""

from __future__ import annotations

import copy
import inspect
import json
import string

import numpy as np
import pytest
import torch

from diffusion import EDM, DiscreteVP, Flow, sample

WHY = "pip install 'sdeint-tableaux[test]'"
diffusers = pytest.importorskip("diffusers", reason=f"diffusers is not installed: {WHY}")
from diffusion.interop.diffusers import TableauScheduler  # noqa: E402
from diffusion.interop.pretrained import load_pretrained  # noqa: E402


@pytest.fixture(scope="module")
def components():
    """A text-to-image model with random weights, a few thousand of them."""
    transformers = pytest.importorskip(
        "transformers", reason=f"text encoders need transformers: {WHY}"
    )
    torch.manual_seed(0)
    letters = list(string.ascii_lowercase)
    tokens = [*letters, *(a + "</w>" for a in letters), "<|startoftext|>", "<|endoftext|>"]
    text = transformers.CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=8,
        intermediate_size=8,
        num_attention_heads=2,
        num_hidden_layers=1,
        max_position_embeddings=8,
        bos_token_id=52,
        eos_token_id=53,
        pad_token_id=53,
    )
    return {
        "tokenizer": transformers.CLIPTokenizer(
            vocab={t: i for i, t in enumerate(tokens)}, merges=[], model_max_length=8
        ),
        "text_encoder": transformers.CLIPTextModel(text).eval(),
        "unet": diffusers.UNet2DConditionModel(
            sample_size=8,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            attention_head_dim=2,
            cross_attention_dim=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ).eval(),
        "vae": diffusers.AutoencoderKL(
            block_out_channels=(4, 8),
            down_block_types=["DownEncoderBlock2D"] * 2,
            up_block_types=["UpDecoderBlock2D"] * 2,
            latent_channels=4,
            norm_num_groups=4,
        ).eval(),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def pipeline(kind, components, **options):
    pipe = getattr(diffusers, kind)(**components, scheduler=TableauScheduler(**options))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def count_calls(network):
    calls = []
    return calls, network.register_forward_pre_hook(lambda *_: calls.append(1))


@pytest.mark.parametrize("method", ["SRA1", "TwoStep"])
def test_text_to_image_draws_what_sample_draws(components, method):
    pipe = pipeline("StableDiffusionPipeline", components, method=method)
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    calls, hook = count_calls(pipe.unet)
    pipe.scheduler.set_seed([3, 4])
    got = pipe(
        ["a cat", "a dog"],
        latents=latents,
        guidance_scale=3.0,
        num_inference_steps=5,
        output_type="latent",
    ).images
    hook.remove()
    assert len(calls) == pipe.scheduler.order * 4 + 1
    # the same by our own guidance, steps and network
    given, null = pipe.encode_prompt(["a cat", "a dog"], "cpu", 1, True)
    scheduler = pipe.scheduler
    scheduler.set_timesteps(5)
    x = latents * scheduler.init_noise_sigma
    with torch.no_grad():
        for t in scheduler.timesteps:
            without, with_ = (
                pipe.unet(x, t, encoder_hidden_states=text).sample for text in (null, given)
            )
            x = scheduler.step(without + 3.0 * (with_ - without), t, x).prev_sample
    torch.testing.assert_close(got, x, rtol=1e-3, atol=1e-3)
    assert bool(torch.isfinite(got).all())


@pytest.mark.parametrize("method", ["EM", "SRA1", "OneStageStored", "TwoStep"])
@pytest.mark.parametrize("spacing", ["uniform_lambda", "trailing"])
@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_image_to_image_takes_every_method_and_keeps_to_its_calls(
    components, method, spacing, strength
):
    pipe = pipeline(
        "StableDiffusionImg2ImgPipeline", components, method=method, timestep_spacing=spacing
    )
    seen = []

    def callback(pipe, i, t, kwargs):
        seen.append(float(t))
        return kwargs

    calls, hook = count_calls(pipe.unet)
    out = pipe(
        "a cat",
        image=torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16) / 2 + 0.5,
        strength=strength,
        num_inference_steps=10,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
        callback_on_step_end=callback,
    ).images
    hook.remove()
    assert bool(torch.isfinite(out).all())
    order, skipped = pipe.scheduler.order, 10 - int(10 * strength)
    whole = 9 * order + 1
    assert len(calls) == len(seen) == whole - skipped * order
    assert seen == sorted(seen, reverse=True)
    assert seen == pipe.scheduler.timesteps[skipped * order :].tolist()


def test_a_method_with_memory_begins_anew_where_it_is_told():
    scheduler = TableauScheduler(method="TwoStep")
    scheduler.set_timesteps(12)
    held = scheduler.timesteps[5:]
    planned = held.clone()
    scheduler.set_begin_index(5)
    # what a pipeline holds is what is asked for: as many evaluations, from the same level to the same
    assert torch.equal(scheduler.timesteps[5:], held)
    assert len(held) == len(planned)
    assert held[0] == planned[0]
    assert held[-1] == planned[-1]
    assert not torch.equal(held, planned)
    # and it is the run that `sample` makes from there, of data and of noise
    process = scheduler.process
    start = float(process.t_of_label(float(held[0])))
    x = torch.randn(4, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def denoise(x, t):
        return torch.tanh(2 * x)

    calls, y = [], x
    scheduler = TableauScheduler(method="TwoStep", prediction_type="sample")
    scheduler.set_timesteps(12)
    scheduler.set_begin_index(5)
    scheduler.set_seed([1, 2, 3, 4])
    for t in scheduler.timesteps[5:]:
        y = scheduler.step(denoise(y, None), t, y).prev_sample
    from diffusion import time_grid, trajectory

    times = time_grid("uniform_lambda", process, 5, first_time=start)

    run = trajectory(
        lambda x, t: calls.append(1) or denoise(x, t),
        (4, 1),
        process=process,
        prediction="x0",
        method="TwoStep",
        grid=times,
        nfe=7,
        seed=[1, 2, 3, 4],
        start=torch.zeros(4, 1),
        dtype=torch.float64,
    )
    assert len(calls) == 7 == len(held)
    # the same noise, another start: without a denoiser both differ by the start alone
    assert run.final.shape == y.shape
    again = TableauScheduler(method="TwoStep", prediction_type="sample")
    again.set_timesteps(12)
    again.set_begin_index(5)
    again.set_seed([1, 2, 3, 4])
    z = run.x[0]
    for t in again.timesteps[5:]:
        z = again.step(denoise(z, None), t, z).prev_sample
    torch.testing.assert_close(z, run.final, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["EM", "TwoStep"])
def test_inpainting_keeps_what_is_known(components, method):
    pipe = pipeline("StableDiffusionInpaintPipeline", components, method=method)
    image = torch.linspace(0, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 8:] = 1  # to be painted
    options = {
        "image": image,
        "mask_image": mask,
        "height": 16,
        "width": 16,
        "num_inference_steps": 8,
        "guidance_scale": 1.0,
        "output_type": "latent",
    }
    out = pipe("a cat", generator=torch.Generator().manual_seed(0), **options).images
    other = pipe("a dog", generator=torch.Generator().manual_seed(0), **options).images
    assert torch.equal(out[..., :4], other[..., :4])
    assert not torch.equal(out[..., 4:], other[..., 4:])


def test_a_callback_may_change_the_latents(components):
    pipe = pipeline("StableDiffusionPipeline", components, method="EM")

    def draw(change):
        return pipe(
            "a cat",
            latents=torch.zeros(1, 4, 8, 8),
            num_inference_steps=4,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
            callback_on_step_end=lambda p, i, t, kw: {
                "latents": kw["latents"] + (change if i == 1 else 0)
            },
        ).images

    assert torch.equal(draw(0.0), draw(0.0))
    assert float((draw(1.0) - draw(0.0)).abs().mean()) > 1e-3


# ---------------------------------------------------------------- what diffusers expects of schedulers

FORWARD = [
    {},
    {"num_train_timesteps": 200},
    {"beta_start": 0.001, "beta_end": 0.02},
    {"beta_schedule": "squaredcos_cap_v2"},
    {"prediction_type": "v_prediction"},
    {"clip_sample": True},
    {"thresholding": True},
    {"method": "SRA1"},
    {"path": "tree", "method": "OneStage"},
    {"eta": 0.0, "method": "SRA3"},
    {"eta": 0.5, "method": "SRA1", "path": "tree"},
    {"timestep_spacing": "leading", "steps_offset": 1},
]


def whole_run(scheduler, seed=0):
    scheduler.set_timesteps(8)
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(seed)
    for t in scheduler.timesteps:
        output = 0.3 * scheduler.scale_model_input(x, t)
        x = scheduler.step(output, t, x, generator=generator).prev_sample
    return x


@pytest.mark.parametrize("options", FORWARD, ids=str)
def test_a_saved_scheduler_and_a_copy_make_the_same_run(options, tmp_path):
    scheduler = TableauScheduler(**options)
    before = whole_run(scheduler)
    assert bool(torch.isfinite(before).all())
    scheduler.save_config(tmp_path)
    loaded = TableauScheduler.from_pretrained(tmp_path)
    assert torch.equal(whole_run(loaded), before)
    assert torch.equal(whole_run(copy.deepcopy(scheduler)), before)
    assert torch.equal(whole_run(scheduler), before)
    if options.get("eta") != 0:
        assert not torch.equal(whole_run(scheduler, seed=1), before)
    json.loads((tmp_path / "scheduler_config.json").read_text())


def test_stochasticity_is_that_of_sample():
    process = TableauScheduler().process
    for eta, path in ((0.0, "grid"), (0.5, "tree"), (1.5, "grid")):
        scheduler = TableauScheduler(
            method="SRA1", eta=eta, path=path, prediction_type="sample", num_train_timesteps=1000
        )
        scheduler.set_timesteps(9)
        scheduler.set_seed(5)
        from diffusion import trajectory

        run = trajectory(
            lambda x, t: torch.tanh(2 * x),
            (6, 1),
            process=process,
            prediction="x0",
            method="SRA1",
            nfe=17,
            seed=5,
            eta=eta,
            path=path,
            dtype=torch.float64,
        )
        x = run.x[0]
        for t in scheduler.timesteps:
            x = scheduler.step(torch.tanh(2 * x), t, x).prev_sample
        torch.testing.assert_close(x, run.final, rtol=1e-9, atol=1e-9)


def test_the_public_interface_is_the_usual_one():
    scheduler = TableauScheduler()
    assert scheduler.init_noise_sigma == 1.0
    assert list(inspect.signature(scheduler.scale_model_input).parameters)[:1] == ["sample"]
    step = inspect.signature(scheduler.step).parameters
    assert list(step)[:3] == ["model_output", "timestep", "sample"]
    assert {"generator", "return_dict"} <= set(step)
    assert "eta" not in step  # pipelines would set it to 0
    scheduler.set_timesteps(6)
    x = torch.ones(2, 3, 4, 4)
    plain = scheduler.step(0 * x, scheduler.timesteps[0], x, torch.Generator().manual_seed(0))
    scheduler.set_timesteps(6)
    pair = scheduler.step(
        0 * x, scheduler.timesteps[0], x, torch.Generator().manual_seed(0), return_dict=False
    )
    assert torch.equal(pair[0], plain.prev_sample)
    assert torch.equal(pair[1], plain.pred_original_sample)
    assert plain.prev_sample.shape == x.shape
    betas = TableauScheduler(trained_betas=np.array([0.1, 0.3], dtype=np.float32)).betas
    torch.testing.assert_close(betas, torch.tensor([0.1, 0.3]))
    assert scheduler.add_noise(x, x, torch.tensor([10, 900])).shape == x.shape
    assert scheduler.add_noise(x, x, torch.tensor([10])).shape == x.shape


# ---------------------------------------------------------------- loading


def unet(**options):
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=8,
        in_channels=3,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        **{"out_channels": 3, **options},
    ).eval()


@pytest.mark.parametrize("whole", [True, False], ids=["pipeline", "network"])
def test_a_folder_is_loaded_with_its_process(tmp_path, whole):
    network, scheduler = unet(), diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    if whole:
        diffusers.DDPMPipeline(network, scheduler).save_pretrained(tmp_path)
    else:
        network.save_pretrained(tmp_path)
        scheduler.save_config(tmp_path)
    loaded = load_pretrained(tmp_path)
    assert loaded.shape == (3, 8, 8)
    assert loaded.prediction == "epsilon"
    assert isinstance(loaded.process, DiscreteVP)
    products = torch.exp(-torch.tensor(loaded.process.integrals))
    torch.testing.assert_close(products, scheduler.alphas_cumprod, rtol=1e-3, atol=1e-6)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        got = loaded.model(0)(x, loaded.process.t_of_label(torch.tensor([500.0, 500.0])).float())
        torch.testing.assert_close(got, network(x, 500).sample, rtol=1e-4, atol=1e-5)
    images = sample(
        loaded.model(0), (2, 3, 8, 8), process=loaded.process, nfe=4, grid="trailing", method="EM"
    )
    assert bool(torch.isfinite(images).all())


def test_classes_go_by_the_number_of_the_item_and_learned_variances_are_left_out(tmp_path):
    network = unet(num_class_embeds=3, out_channels=6)
    network.save_pretrained(tmp_path)
    diffusers.DDPMScheduler(prediction_type="v_prediction").save_config(tmp_path)
    loaded = load_pretrained(tmp_path)
    assert loaded.prediction == "v"
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    t = torch.full((2,), 0.501)
    with torch.no_grad():
        expected = network(x, 500.0, class_labels=torch.tensor([2, 0])).sample[:, :3]
        torch.testing.assert_close(loaded.model(5)(x, t), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_network_of_edm_is_preconditioned_as_its_scheduler_does(tmp_path, kind):
    network, scheduler = unet(), diffusers.EDMEulerScheduler(prediction_type=kind)
    network.save_pretrained(tmp_path)
    scheduler.save_config(tmp_path)
    loaded = load_pretrained(tmp_path)
    assert loaded.process == EDM(0.002, 80.0)
    x = 3 * torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([2.5, 2.5])
    with torch.no_grad():
        scaled = scheduler.precondition_inputs(x, 2.5)
        raw = network(scaled, scheduler.precondition_noise(sigma)).sample
        expected = scheduler.precondition_outputs(x, raw, 2.5)
        torch.testing.assert_close(loaded.model(0)(x, sigma), expected, rtol=1e-4, atol=1e-4)


def test_a_network_of_rectified_flow_sees_its_times(tmp_path):
    network = unet()
    network.save_pretrained(tmp_path)
    diffusers.FlowMatchEulerDiscreteScheduler().save_config(tmp_path)
    loaded = load_pretrained(tmp_path)
    assert (loaded.process, loaded.prediction) == (Flow(), "flow")
    x, t = torch.ones(2, 3, 8, 8), torch.tensor([0.25, 0.25])
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(0)(x, t), network(x, 250.0).sample)


def test_pickles_and_strangers_are_not_loaded(tmp_path):
    network = unet()
    network.save_pretrained(tmp_path, safe_serialization=False)
    diffusers.DDPMScheduler().save_config(tmp_path)
    with pytest.raises(OSError, match="safetensors"):
        load_pretrained(tmp_path)
    network.save_pretrained(tmp_path)
    diffusers.IPNDMScheduler().save_config(tmp_path)
    with pytest.raises(ValueError, match="scheduler IPNDMScheduler is not known here"):
        load_pretrained(tmp_path)
    for nothing in (tmp_path / "nothing", str(tmp_path / "nothing"), "./nothing"):
        with pytest.raises(FileNotFoundError, match=r"there is no folder .*nothing"):
            load_pretrained(nothing)
