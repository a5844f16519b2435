"""The scheduler for diffusers: the same samples as `diffusion.sample`, in diffusers' own pipelines."""

from __future__ import annotations

import json

import pytest
import torch

import diffusion
from diffusion import DiscreteVP, GaussianMixture, sample, trajectory
from diffusion.budget import steps_for
from sdeint import ProblemError
from sdeint.asking import Asking
from tableaux import TableauError, catalogue
from tableaux.files import dumps

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed: pip install 'sdeint-tableaux[diffusers]'"
)
from diffusion.interop.diffusers import TableauScheduler  # noqa: E402
from diffusion.interop.training import discrete_process  # noqa: E402

PROCESS = DiscreteVP.from_betas(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))
DATA = GaussianMixture([0.3, 0.5, 0.2], [[-1.5], [0.2], [2.0]], [0.09, 0.04, 0.16])
METHODS = ["EM", "SRA1", "SRA3", "OneStage", "OneStageStored", "TwoStep"]


def network(prediction="epsilon", calls=None):
    """Exact, and called as diffusers calls a network: with a label."""
    model = DATA.model(PROCESS, prediction)

    def call(x, label):
        if calls is not None:
            calls.append(float(label))
        t = PROCESS.t_of_label(label.double().clamp(-1, 999)).clamp(1e-9, 1)
        return model(x, t.expand(len(x)))

    return call


def loop(scheduler, model, x, generator=None, timesteps=None, change=None):
    """The loop of a pipeline."""
    for i, t in enumerate(scheduler.timesteps if timesteps is None else timesteps):
        output = model(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(output, t, x, generator=generator).prev_sample
        if change is not None:
            x = change(i, x)
    return x


def unet(seed=0):
    torch.manual_seed(seed)
    return diffusers.UNet2DModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    ).eval()


@pytest.mark.parametrize(("path", "variance"), [("grid", 0.0), ("tree", 0.0), ("grid", 1.5)])
@pytest.mark.parametrize("method", METHODS)
def test_a_scheduler_draws_what_sample_draws(method, path, variance):
    calls = []
    scheduler = TableauScheduler(method=method, path=path, variance=variance)
    scheduler.set_timesteps(9)
    scheduler.set_seed(5)
    nfe = scheduler.order * 8 + 1
    run = trajectory(
        DATA.model(PROCESS, "epsilon"),
        (6, 1),
        process=PROCESS,
        method=method,
        nfe=nfe,
        seed=5,
        path=path,
        variance=variance,
        dtype=torch.float64,
    )
    got = loop(scheduler, network(calls=calls), run.x[0])
    # labels are float32 where the network is called
    torch.testing.assert_close(got, run.final, rtol=1e-5, atol=1e-5)
    assert len(calls) == len(scheduler.timesteps) == run.evaluations <= nfe
    assert scheduler.step_index is None


@pytest.mark.parametrize("spacing", [*diffusion.grids, *diffusion.spacings])
@pytest.mark.parametrize(
    ("kind", "prediction"), [("epsilon", "epsilon"), ("sample", "x0"), ("v_prediction", "v")]
)
def test_every_spacing_and_prediction(spacing, kind, prediction):
    scheduler = TableauScheduler(prediction_type=kind, timestep_spacing=spacing, method="EM")
    scheduler.set_timesteps(6)
    scheduler.set_seed([3, 4])
    options = {"process": PROCESS, "prediction": prediction, "grid": spacing, "method": "EM"}
    run = trajectory(
        DATA.model(PROCESS, prediction), (2, 1), nfe=6, seed=[3, 4], dtype=torch.float64, **options
    )
    got = loop(scheduler, network(prediction), run.x[0])
    torch.testing.assert_close(got, run.final, rtol=1e-4, atol=1e-4)


def test_published_spacings_are_those_of_diffusers():
    for spacing in ("leading", "trailing", "linspace"):
        ours = TableauScheduler(method="EM", timestep_spacing=spacing, steps_offset=0)
        theirs = diffusers.DDPMScheduler(timestep_spacing=spacing)
        for n in (2, 10, 50, 300):
            ours.set_timesteps(n)
            theirs.set_timesteps(n)
            assert torch.equal(ours.timesteps, theirs.timesteps.float())
    shifted = TableauScheduler(method="EM", timestep_spacing="leading", steps_offset=1)
    shifted.set_timesteps(10)
    assert shifted.timesteps.tolist() == [901 - 100 * i for i in range(10)]


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"])
@pytest.mark.parametrize("zero", [False, True])
def test_processes_are_those_of_diffusers(schedule, zero):
    theirs = diffusers.DDPMScheduler(beta_schedule=schedule, rescale_betas_zero_snr=zero)
    ours = TableauScheduler(beta_schedule=schedule, rescale_betas_zero_snr=zero)
    torch.testing.assert_close(ours.alphas_cumprod, theirs.alphas_cumprod, rtol=2e-3, atol=2.0**-24)
    x, noise = torch.randn(2, 4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0, 10, 500, 990])
    for name in ("add_noise", "get_velocity"):
        torch.testing.assert_close(
            getattr(ours, name)(x, noise, t),
            getattr(theirs, name)(x, noise, t),
            rtol=2e-3,
            atol=2e-4,
        )
    assert len(ours) == len(theirs) == 1000


def test_euler_is_the_ddpm_of_diffusers():
    # The mean of a DDPM step is the same function of sample and output; noise is what is left.
    theirs = diffusers.DDPMScheduler(clip_sample=False, timestep_spacing="leading")
    ours = TableauScheduler(method="EM", timestep_spacing="leading")
    x = torch.randn(20000, 1, 1, 1, generator=torch.Generator().manual_seed(1)).double()
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(50)
    ours.set_seed(3)
    t = ours.timesteps[10]
    x[:] = 0.7
    output = torch.full_like(x, 0.4)
    ours.set_begin_index(10)
    a = ours.step(output, t, x).prev_sample
    b = theirs.step(
        output, int(t.round()), x, generator=torch.Generator().manual_seed(2)
    ).prev_sample
    # Two samples of 20000: mean and standard deviation within 6 standard errors.
    error = float(a.std()) * (2 / 20000) ** 0.5
    assert abs(float(a.mean() - b.mean())) < 6 * error
    assert abs(float(a.std() - b.std())) < 6 * error
    assert error < 0.01


def test_a_real_pipeline_draws_what_sample_draws_and_keeps_to_its_calls():
    net = unet()
    calls = []
    net.register_forward_pre_hook(lambda *_: calls.append(1))
    scheduler = TableauScheduler(method="SRA1")
    pipeline = diffusers.DDPMPipeline(net, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    scheduler.set_seed([1, 2])
    images = pipeline(
        batch_size=2,
        generator=torch.Generator().manual_seed(0),
        num_inference_steps=4,
        output_type="np",
    ).images
    assert images.shape == (2, 8, 8, 3)
    assert len(calls) == 7 == scheduler.order * 3 + 1
    # the same by hand: diffusers' initial noise, our steps
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    scheduler.set_timesteps(4)
    with torch.no_grad():
        x = loop(scheduler, lambda x, t: net(x, t).sample, x)
    expected = (x / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    assert (abs(images - expected) < 1e-6).all()


def test_an_item_depends_on_its_own_generator_only():
    pipeline = diffusers.DDPMPipeline(unet(), TableauScheduler())
    pipeline.set_progress_bar_config(disable=True)

    def draw(seeds):
        generators = [torch.Generator().manual_seed(s) for s in seeds]
        return pipeline(
            batch_size=len(seeds), generator=generators, num_inference_steps=5, output_type="np"
        ).images

    whole = draw([7, 8, 9])
    # a convolution may sum in another order for another batch
    assert (abs(draw([8]) - whole[1:2]) < 1e-4).all()
    assert (abs(draw([7, 8, 9]) - whole) == 0).all()
    assert (abs(whole[0] - whole[1]) > 1e-2).any()


def test_a_pipeline_begins_with_noise_of_the_clocks_gaussian_model():
    scheduler = TableauScheduler(method="EM", variance=1.5)
    scheduler.set_timesteps(9)
    run = trajectory(
        DATA.model(PROCESS, "epsilon"), (20_000, 1), process=PROCESS, method="EM", nfe=9,
        variance=1.5, dtype=torch.float64,
    )  # fmt: skip
    # 5.5 standard errors of a standard deviation
    assert float(run.x[0].std()) == pytest.approx(scheduler.init_noise_sigma, rel=5.5 / 200)
    assert scheduler.init_noise_sigma**2 == pytest.approx(
        float(PROCESS.sigma(run.t[0]) ** 2 + 1.5 * PROCESS.alpha(run.t[0]) ** 2)
    )


def test_on_a_tree_more_steps_refine_the_same_image():
    def draw(n, path):
        scheduler = TableauScheduler(method="OneStage", path=path)
        scheduler.set_timesteps(n)
        x = torch.randn(200, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        generator = torch.Generator().manual_seed(2)
        return loop(scheduler, network(), x * scheduler.init_noise_sigma, generator)

    fine = draw(129, "tree")
    coarse, finer = (float((draw(n, "tree") - fine).abs().mean()) for n in (9, 33))
    assert finer < coarse / 2
    assert float((draw(33, "grid") - fine).abs().mean()) > 5 * finer


def test_configurations_come_back(tmp_path):
    own = dumps(catalogue["OneStage"])
    scheduler = TableauScheduler(
        method=own, timestep_spacing="karras", thresholding=True, variance=0.3
    )
    scheduler.save_pretrained(tmp_path)
    again = TableauScheduler.from_pretrained(tmp_path)
    assert again.method == catalogue["OneStage"] == scheduler.method
    assert again.config.timestep_spacing == "karras"
    assert again.config.variance == 0.3
    assert {k: v for k, v in scheduler.config.items() if k != "_use_default_values"} == again.config
    json.loads((tmp_path / "scheduler_config.json").read_text())
    theirs = diffusers.DDPMScheduler(
        beta_schedule="scaled_linear", prediction_type="v_prediction", num_train_timesteps=500
    )
    ours = TableauScheduler.from_config(theirs.config)
    assert ours.process.labels == 500
    assert ours.config.prediction_type == "v_prediction"
    torch.testing.assert_close(ours.alphas_cumprod, theirs.alphas_cumprod, rtol=1e-5, atol=1e-7)
    back = diffusers.DDPMScheduler.from_config(ours.config)
    assert back.config.beta_schedule == "scaled_linear"
    assert all(s.from_config(ours.config) is not None for s in ours.compatibles)


def test_a_pipeline_with_our_scheduler_is_saved_and_loaded(tmp_path):
    pipeline = diffusers.DDPMPipeline(unet(), TableauScheduler(method="OneStage"))
    pipeline.save_pretrained(tmp_path, safe_serialization=True)
    assert list(tmp_path.glob("unet/*.safetensors"))
    again = diffusers.DDPMPipeline.from_pretrained(tmp_path)
    assert isinstance(again.scheduler, TableauScheduler)
    assert again.scheduler.method == catalogue["OneStage"]


@pytest.mark.parametrize("method", ["EM", "SRA1", "OneStage"])
def test_image_to_image_begins_inside_of_the_schedule(method):
    scheduler = TableauScheduler(method=method)
    scheduler.set_timesteps(33)
    first = 20 * scheduler.order
    data = DATA.sample(3000, seed=1)
    noise = torch.randn(3000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    timesteps = scheduler.timesteps[first:]
    x = scheduler.add_noise(data, noise, timesteps[:1])
    scheduler.set_begin_index(first)
    calls = []
    out = loop(scheduler, network(calls=calls), x, timesteps=timesteps)
    assert len(calls) == 12 * scheduler.order + 1
    second, exact = out**2, float(DATA.covariance()[0, 0] + DATA.mean()[0] ** 2)
    assert abs(float(second.mean()) - exact) < 5.5 * float(second.std()) / 3000**0.5 + 0.08
    assert float(torch.corrcoef(torch.stack([out[:, 0], data[:, 0].double()]))[0, 1]) > 0.5


def test_runs_begin_at_steps_and_where_they_were_told():
    # a method with memory, not told where; one evaluation of two too late; too late for any step
    scheduler = TableauScheduler(method="TwoStep")
    scheduler.set_timesteps(9)
    with pytest.raises(ValueError, match="'TwoStep' cannot begin at timestep"):
        scheduler.step(torch.zeros(1, 1), scheduler.timesteps[4], torch.zeros(1, 1))
    two = TableauScheduler(method="SRA1")
    two.set_timesteps(9)
    two.set_begin_index(3)
    with pytest.raises(ValueError, match="begins at the first evaluation of a step"):
        two.step(torch.zeros(1, 1), two.timesteps[3], torch.zeros(1, 1))
    with pytest.raises(ProblemError, match="too few for 'TwoStep'"):
        scheduler.set_begin_index(8)


@pytest.mark.parametrize("method", ["EM", "TwoStep"])
def test_what_a_pipeline_changes_is_carried_on(method):
    # A constant added to a sample moves Z by rho/alpha times that; with a constant denoiser nothing
    # else happens, so without final denoising it would arrive as the ratio of alpha/rho.
    def run(change):
        scheduler = TableauScheduler(method=method, prediction_type="sample")
        scheduler.set_timesteps(9)
        scheduler.set_seed(3)
        kept = []

        def changed(i, x):
            x = x + change if i == 3 else x
            kept.append(x)
            return x

        x = torch.full((2, 1), 0.5, dtype=torch.float64)
        loop(scheduler, lambda x, t: 0 * x + 0.3, x, change=changed)
        return scheduler.process, scheduler.timesteps, kept

    process, labels, plain = run(0.0)
    _, _, moved = run(1.0)
    t = process.t_of_label(labels.double().clamp(0, 999))
    scale = process.rho(t) / process.alpha(t)
    for i in range(4, 8):
        gap = moved[i] - plain[i]
        expected = float(scale[4] / scale[i + 1])
        torch.testing.assert_close(gap, torch.full_like(gap, expected), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_a_pipeline_in_half_precision_has_a_state_in_float32(half):
    def run(dtype):
        scheduler = TableauScheduler(method="EM", prediction_type="sample")
        scheduler.set_timesteps(101)
        scheduler.set_seed(3)
        x = torch.full((500, 1), 0.5, dtype=dtype)
        states = []

        def constant(x, t):
            states.append(scheduler._asking.state.dtype if scheduler._asking else None)
            return torch.full_like(x, 0.25)

        last = []
        loop(scheduler, constant, x, change=lambda i, x: last.append(x) or x)
        assert set(states[1:]) == {torch.float64 if dtype == torch.float64 else torch.float32}
        assert {v.dtype for v in last} == {dtype}
        return last[-2].double()

    error = (run(half) - run(torch.float64)).abs().max()
    # one rounding of the last value, not a hundred
    assert float(error) < torch.finfo(half).eps


def test_thresholds_and_learned_variances():
    scheduler = TableauScheduler(clip_sample=True, clip_sample_range=0.5, method="SRA1")
    scheduler.set_timesteps(5)
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    scheduler.set_seed(1)
    out = loop(scheduler, lambda x, t: torch.cat([-3 * x, x], dim=1), x)
    assert torch.equal(out, loop(scheduler, lambda x, t: -3 * x, x))
    assert float(out.abs().max()) <= 0.5


def test_a_method_whose_noise_leads_to_its_first_stage_runs_where_there_is_none():
    ends = []
    for method in ("SEA", "EM"):
        scheduler = TableauScheduler(method=method, eta=0.0)
        scheduler.set_timesteps(5)
        x = torch.ones(2, 3, dtype=torch.float64)
        for t in scheduler.timesteps:
            x = scheduler.step(torch.sin(x), t, x).prev_sample
        ends.append(x)
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


def test_wrong_use_is_refused():
    scheduler = TableauScheduler()
    with pytest.raises(ValueError, match="call set_timesteps before step"):
        scheduler.step(torch.zeros(1, 1), 5, torch.zeros(1, 1))
    scheduler.set_timesteps(9)
    x = torch.zeros(2, 1)
    x = scheduler.step(x, scheduler.timesteps[0], x).prev_sample
    with pytest.raises(ValueError, match="is not the next one"):
        scheduler.step(x, scheduler.timesteps[5], x)
    with pytest.raises(ProblemError, match="too few for 'TwoStep'"):
        scheduler.set_timesteps(1)
    scheduler.set_timesteps(9)
    scheduler.set_seed([1, 2, 3])
    with pytest.raises(ValueError, match="3 seeds or generators for 2 items"):
        scheduler.step(x, scheduler.timesteps[0], x)
    with pytest.raises(TableauError, match="did you mean 'SRA1'"):
        TableauScheduler(method="SRA11")
    with pytest.raises(ValueError, match="did you mean 'epsilon'"):
        TableauScheduler(prediction_type="epsilom")
    with pytest.raises(ValueError, match="did you mean 'linear'"):
        discrete_process({"beta_schedule": "liner"})
    with pytest.raises(ValueError, match="'SEA' first evaluates at a stage"):
        TableauScheduler(method="SEA")
    with pytest.raises(ValueError, match="'ImplicitMidpoint' is implicit"):
        TableauScheduler(method="ImplicitMidpoint", eta=0.0)
    with pytest.raises(ValueError, match="path must be"):
        TableauScheduler(path="line")
    with pytest.raises(ProblemError, match="is implicit"):
        Asking(torch.zeros(1, 1), [0.0, 1.0], method="ImplicitEM")


@pytest.mark.parametrize("method", METHODS)
def test_nfe_means_the_same_in_both(method):
    scheduler = TableauScheduler(method=method)
    scheduler.set_timesteps(8)
    nfe = scheduler.order * 7 + 1
    assert len(scheduler.timesteps) <= nfe
    assert steps_for(method, nfe) == len(scheduler._grid) - 1
    assert sample(DATA.model(PROCESS, "epsilon"), (1, 1), method=method, nfe=nfe).shape == (1, 1)
