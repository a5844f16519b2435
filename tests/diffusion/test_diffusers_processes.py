"""Networks that were not trained with betas: against diffusers' own schedulers at equal settings."""

from __future__ import annotations

import json
import math

import pytest
import torch

from diffusion import EDM, VE, Flow, sample, trajectory

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed: pip install 'sdeint-tableaux[test]'"
)
from diffusion.interop.diffusers import TableauScheduler  # noqa: E402
from diffusion.interop.pretrained import load_pretrained  # noqa: E402
from diffusion.interop.training import training_of, translated  # noqa: E402

NOISE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return (
        diffusers.UNet2DModel(
            sample_size=8,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
        )
        .eval()
        .requires_grad_(False)
    )


def run(scheduler, network, x):
    """A pipeline's loop."""
    for t in scheduler.timesteps:
        output = network(scheduler.scale_model_input(x, t), t).sample
        x = scheduler.step(output, t, x).prev_sample
    return x


def saved(network, scheduler, folder):
    network.save_pretrained(folder)
    scheduler.save_config(folder)
    return load_pretrained(folder)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("schedule", ["karras", "exponential"])
@pytest.mark.parametrize("name", ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"])
def test_euler_without_noise_is_edms_own(network, name, schedule, kind):
    order = {"solver_order": 1} if "DPM" in name else {}
    theirs = getattr(diffusers, name)(
        sigma_schedule=schedule, prediction_type=kind, sigma_data=0.6, sigma_min=0.01, **order
    )
    ours = TableauScheduler.from_config(theirs.config, method="EM", eta=0.0)
    if schedule == "karras":  # the grid "edm" ends at 0.002, or where the network does
        assert ours.config.timestep_spacing == "edm"
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(6)
    torch.testing.assert_close(ours.timesteps[0], theirs.timesteps[0])
    torch.testing.assert_close(ours.timesteps[-1], theirs.timesteps[-1], rtol=0, atol=2e-2)
    # at equal settings: the same levels
    sigmas = torch.exp(4 * ours.timesteps)
    theirs.timesteps = ours.timesteps
    theirs.sigmas = torch.cat([sigmas, torch.zeros(1)])
    x = 80 * NOISE
    got, expected = run(ours, network, x), run(theirs, network, x)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    assert float((got - NOISE).abs().max()) > 0.1


def test_eulers_form_of_edm_is_that_for_data_of_variance_one(network):
    theirs = diffusers.EulerDiscreteScheduler(
        timestep_type="continuous",
        prediction_type="v_prediction",
        sigma_min=0.002,
        sigma_max=80.0,
        use_karras_sigmas=True,
    )
    ours = TableauScheduler.from_config(theirs.config, method="EM", eta=0.0)
    assert ours.config.sigma_data == 1.0
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(6)
    torch.testing.assert_close(ours.timesteps, theirs.timesteps, rtol=1e-4, atol=1e-4)
    assert ours.init_noise_sigma == pytest.approx(80.0)
    torch.testing.assert_close(
        run(ours, network, 80 * NOISE), run(theirs, network, 80 * NOISE), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_euler_without_noise_is_that_of_rectified_flow(network, shift):
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    ours = TableauScheduler.from_config(theirs.config, method="EM", eta=0.0)
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(6)
    torch.testing.assert_close(ours.timesteps, theirs.timesteps, rtol=1e-6, atol=1e-6)
    theirs.scale_model_input = lambda x, t: x
    torch.testing.assert_close(
        run(ours, network, NOISE), run(theirs, network, NOISE), rtol=1e-4, atol=1e-4
    )
    x = torch.ones(1, 3, 8, 8)
    torch.testing.assert_close(
        ours.scale_noise(x, ours.timesteps[2:3], NOISE[:1]),
        theirs.scale_noise(x, theirs.timesteps[2:3], NOISE[:1]),
    )


def test_a_shift_that_is_told_later_and_other_sigmas_leave_our_own_grid():
    for given in ({"use_dynamic_shifting": True}, {"use_karras_sigmas": True}):
        theirs = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, **given)
        ours = TableauScheduler.from_config(theirs.config)
        assert ours.config.timestep_spacing == "uniform_lambda"
    ours = TableauScheduler.from_config(theirs.config, timestep_spacing="shifted(2)", method="EM")
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    ours.set_timesteps(4)
    theirs.set_timesteps(4, mu=math.log(2))
    torch.testing.assert_close(ours.timesteps[:3], theirs.timesteps[:3], rtol=2e-3, atol=1e-3)


def test_a_solver_of_flows_with_betas_in_its_configuration_is_one_of_flows():
    theirs = diffusers.DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True
    )
    ours = TableauScheduler.from_config(theirs.config)
    assert ours.process == Flow()
    ours.set_timesteps(5)
    assert float(ours.timesteps[0]) < 1000


def test_a_step_on_a_score_network_has_the_mean_of_score_sdes(network):
    # The means of the two predictors are one function of sample and output; the noises differ.
    theirs = diffusers.ScoreSdeVeScheduler(num_train_timesteps=50, sigma_max=40.0)
    ours = TableauScheduler.from_config(theirs.config, method="EM")
    assert ours.process == VE(0.01, 40.0)
    ours.set_timesteps(6)
    sigma, after = ours.timesteps[2:4].double()
    outputs = NOISE.double() / 10, torch.zeros_like(NOISE.double())
    states = []
    for output in outputs:
        ours.set_timesteps(6)
        ours.set_begin_index(2)
        ours.set_seed(3)
        states.append(ours.step(output, sigma, 0 * output).prev_sample)
    expected = (sigma**2 - after**2) * outputs[0]
    torch.testing.assert_close(states[0] - states[1], expected, rtol=1e-5, atol=1e-5)
    # one of their levels to the next, by their own means
    theirs.set_timesteps(50)
    theirs.set_sigmas(50)
    levels = theirs.discrete_sigmas
    step = theirs.step_pred(NOISE, theirs.timesteps[0], 0 * NOISE)
    torch.testing.assert_close(step.prev_sample_mean, (levels[-1] ** 2 - levels[-2] ** 2) * NOISE)


def test_a_score_network_is_loaded_in_the_units_of_images(network, tmp_path):
    loaded = saved(network, diffusers.ScoreSdeVeScheduler(sigma_max=40.0), tmp_path)
    assert (loaded.process, loaded.prediction) == (VE(0.02, 80.0), "score")
    t = torch.tensor([0.4, 0.4])
    sigma = loaded.process.sigma(t)
    # its denoiser of images in [0, 1], by Tweedie's formula, is that of images in [-1, 1]
    inner = (NOISE + 1) / 2
    x0 = inner + (sigma[0] / 2) ** 2 * network(inner, (sigma / 2).float()).sample
    score = loaded.model(0)(NOISE, t)
    torch.testing.assert_close(
        NOISE + sigma[0].float() ** 2 * score, (2 * x0 - 1).float(), rtol=1e-3, atol=1e-3
    )


def test_euler_without_noise_is_that_of_karras_ve(network, tmp_path):
    theirs = diffusers.KarrasVeScheduler(sigma_max=50.0)
    loaded = saved(network, theirs, tmp_path)
    assert loaded.process == VE(0.02, 50.0)
    levels = torch.tensor([50.0, 20.0, 4.0, 0.5], dtype=torch.float64)
    times = loaded.process.t_of_lambda(-torch.log(levels))
    got = trajectory(
        loaded.model(0), NOISE.shape, process=loaded.process, prediction="score", method="EM",
        eta=0.0, grid=times, nfe=4,
    )  # fmt: skip
    x = got.x[0]
    for n, (sigma, after) in enumerate(zip(levels, [*levels[1:], 0.0])):
        # as their pipeline calls the network, without churn
        output = sigma / 2 * network((x + 1) / 2, sigma.float() / 2).sample
        x = theirs.step(output, sigma, after, x).prev_sample.float()
        torch.testing.assert_close(x, got.x[n + 1] if n < 3 else got.final, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "process"),
    [
        ("EDMEulerScheduler", EDM(0.002, 80.0)),
        ("ScoreSdeVeScheduler", VE(0.01, 1348.0)),
        ("KarrasVeScheduler", VE(0.01, 50.0)),
        ("FlowMatchEulerDiscreteScheduler", Flow()),
    ],
)
def test_configurations_are_translated_and_come_back(name, process, tmp_path):
    theirs = getattr(diffusers, name)()
    ours = TableauScheduler.from_config(theirs.config, method="OneStage")
    assert ours.process == process
    ours.save_config(tmp_path)
    again = TableauScheduler.from_pretrained(tmp_path)
    assert again.process == process
    assert again.config.prediction_type == ours.config.prediction_type
    assert json.loads((tmp_path / "scheduler_config.json").read_text())["method"] == "OneStage"
    theirs.save_config(tmp_path)
    assert TableauScheduler.from_pretrained(tmp_path).process == process
    ours.set_timesteps(5)
    assert len(ours.timesteps) == 9
    assert bool((torch.diff(ours.timesteps) <= 0).all())
    assert len(TableauScheduler.from_config(theirs.config).timesteps) == len(ours)


@pytest.mark.parametrize("method", ["TwoStep", "SRA1"])
@pytest.mark.parametrize("name", ["EDMEulerScheduler", "ScoreSdeVeScheduler"])
def test_a_pipeline_draws_what_sample_draws_with_any_process(network, name, method, tmp_path):
    theirs = getattr(diffusers, name)(sigma_max=30.0, sigma_min=0.01)
    loaded = saved(network, theirs, tmp_path)
    ours = TableauScheduler.from_config(theirs.config, method=method)
    ours.set_timesteps(5)
    ours.set_seed([4, 9])
    levels = ours._training.process.sigma(ours._grid)
    unit = 2.0 if name.startswith("Score") else 1.0
    times = loaded.process.t_of_lambda(-torch.log(unit * levels))
    expected = trajectory(
        loaded.model(0), NOISE.shape, process=loaded.process, prediction=loaded.prediction,
        method=method, seed=[4, 9], grid=times, nfe=ours.order * 4 + 1,
    )  # fmt: skip
    begin = expected.x[0] if unit == 1 else (expected.x[0] + 1) / 2
    got = run(ours, network, begin)
    torch.testing.assert_close(
        got if unit == 1 else 2 * got - 1, expected.final, rtol=2e-3, atol=2e-3
    )


def test_a_real_pipeline_of_rectified_flow_draws_what_sample_draws():
    torch.manual_seed(0)
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=1, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=8, caption_projection_dim=16,
        pooled_projection_dim=8, out_channels=4,
    ).eval()  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(4,), latent_channels=4, norm_num_groups=4, shift_factor=0.1,
        use_quant_conv=False, use_post_quant_conv=False, sample_size=8,
    ).eval()  # fmt: skip
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    ours = TableauScheduler.from_config(theirs.config, method="SRA1")
    names = [f"{kind}{n}" for kind in ("text_encoder", "tokenizer") for n in ("", "_2", "_3")]
    pipe = diffusers.StableDiffusion3Pipeline(
        transformer=transformer, vae=vae, scheduler=ours, **dict.fromkeys(names)
    )
    pipe.set_progress_bar_config(disable=True)
    text = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))

    def model(x, t):
        return transformer(x, text, text[:, 0], 1000 * t).sample

    run = trajectory(
        model, (2, 4, 8, 8), process=Flow(), prediction="flow", method="SRA1", seed=[5, 6], nfe=7,
        grid="shifted(3)",
    )  # fmt: skip
    ours.set_seed([5, 6])
    got = pipe(
        prompt_embeds=text, pooled_prompt_embeds=text[:, 0], guidance_scale=1.0, latents=run.x[0],
        num_inference_steps=4, height=8, width=8, output_type="latent",
    ).images  # fmt: skip
    torch.testing.assert_close(got, run.final, rtol=1e-3, atol=1e-3)


def test_what_is_no_process_is_refused():
    with pytest.raises(ValueError, match="did you mean 'edm'"):
        TableauScheduler(process="edn")
    with pytest.raises(ValueError, match="'ve' needs sigma_min and sigma_max"):
        TableauScheduler(process="ve")
    with pytest.raises(ValueError, match="has prediction_type 'epsilon' or 'v_prediction'"):
        training_of({"process": "edm", "sigma_min": 1, "sigma_max": 2, "prediction_type": "sample"})
    with pytest.raises(ValueError, match="scheduler of no name is not known here"):
        TableauScheduler.from_config(diffusers.IPNDMScheduler().config)
    # other preconditioning, and no way to tell its class but by its keys
    cosine = {"sigma_schedule": "exponential", "solver_order": 2, "sigma_data": 1.0}
    with pytest.raises(ValueError, match="CosineDPMSolverMultistepScheduler is not known here"):
        translated(cosine)
    with pytest.raises(ValueError, match="inverted sigmas"):
        translated({"_class_name": "FlowMatchEulerDiscreteScheduler", "invert_sigmas": True})
    flow = TableauScheduler(process="flow", timestep_spacing="trailing", method="EM")
    with pytest.raises(ValueError, match="begin where something of the data is left"):
        flow.set_timesteps(5)
    with pytest.raises(ValueError, match="begin where something of the data is left"):
        sample(lambda x, t: x, (1, 1), process=Flow(), grid="linspace", prediction="flow")
