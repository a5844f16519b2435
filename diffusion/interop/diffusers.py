"""Any tableau for additive noise as a scheduler of diffusers.

A pipeline of diffusers owns the loop: it calls the network at each of `timesteps` and hands the output
to `step`. A method with more than one evaluation a step is therefore carried out stage by stage
(`sdeint.asking`): what `step` returns is the state at which the network is wanted next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diffusion.budget import steps_for
from diffusion.corrections import Correction, clip, dynamic_threshold
from diffusion.discrete import DiscreteVP
from diffusion.grids import grids, time_grid
from diffusion.interop.training import training_of, translated
from diffusion.reverse import NoiseClock
from sdeint import GridPath, TreePath
from sdeint.asking import Asking
from sdeint.brownian import logarithmic
from sdeint.lowering import lower
from tableaux import Tableau, catalogue
from tableaux.files import loads

try:
    from diffusers.configuration_utils import ConfigMixin, register_to_config
    from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers, SchedulerMixin
    from diffusers.utils import BaseOutput
except ImportError as error:
    raise ImportError(
        "diffusion.interop.diffusers needs diffusers: pip install 'sdeint-tableaux[diffusers]'"
    ) from error

__all__ = ["TableauScheduler", "TableauSchedulerOutput", "method_named"]


@dataclass
class TableauSchedulerOutput(BaseOutput):  # type: ignore[misc]
    """What `TableauScheduler.step` returns.

    Attributes
    ----------
    prev_sample : tensor
        The noisy state at which the network is wanted next; after the last step, the result.
    pred_original_sample : tensor
        The denoised state that the network's output implies: a preview.
    """

    prev_sample: Tensor
    pred_original_sample: Tensor | None = None


class TableauScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """A scheduler that samples with a tableau.

    Parameters
    ----------
    num_train_timesteps, beta_start, beta_end, beta_schedule, trained_betas, rescale_betas_zero_snr
        The process that the network was trained for, as in diffusers' own schedulers; schedules are
        "linear", "scaled_linear", "squaredcos_cap_v2" and "sigmoid".
    prediction_type : {"epsilon", "sample", "v_prediction", "flow_prediction", "score"}
        What the network predicts.
    process : {"betas", "edm", "ve", "flow"}
        How it was trained: with betas; with EDM's preconditioning, from `sigma_min` to `sigma_max` on data
        of standard deviation `sigma_data`; as a score network of VE between these two; or as a
        rectified flow. `from_config` knows it from the configurations of diffusers' schedulers.
    sigma_min, sigma_max, sigma_data
        Of "edm" and "ve", in the network's own units.
    method : str
        A name of `tableaux.catalogue`, or the TOML text of a tableau (`tableaux.files.dumps`).
    timestep_spacing : str
        A name in `diffusion.grids` or `diffusion.spacings`, with numbers or without: "shifted(3)" are the
        times of a FlowMatchEuler scheduler with the shift 3, and what `from_config` makes of it.
    steps_offset : int
        Added to the labels of "leading".
    path : {"grid", "tree"}
        ``"tree"``: one Brownian path for every number of steps.
    eta : float or (float, float, float)
        Stochasticity, as for `diffusion.sample`; part of the configuration, because pipelines that
        hand an ``eta`` to `step` mean 0 where they are not told.
    variance : float
        Of a coordinate of the data, as for `diffusion.sample`.
    clip_sample, clip_sample_range
        Cut the denoised state to plus or minus the range.
    thresholding, dynamic_thresholding_ratio, sample_max_value
        Dynamic thresholding of the denoised state.

    Notes
    -----
    ``set_timesteps(n)`` plans n - 1 steps of the method and the final denoising evaluation. The network
    is called once for each of `timesteps`, ``order (n - 1) + 1`` times: n times with one evaluation a
    step. A method with memory whose start takes more makes fewer steps, not more calls.

    The noise is that of the seeds of `set_seed`; without them seeds are drawn from the `generator` that
    is passed to the first `step`: one for the batch, or one an item from a list of generators, so that
    an item depends on its own generator only. The state is kept in float32 (float64 if the samples
    are), whatever the dtype of the network. Where a pipeline changes a sample between two steps, the
    change is carried on.

    Image to image: a method without memory begins at the first evaluation of any step. One with memory
    begins anew: `set_begin_index` plans as many evaluations from that timestep on, and writes the new
    ones over the rest of `timesteps`, in place, since a pipeline already holds a slice of them.
    """

    _compatibles = [e.name for e in KarrasDiffusionSchedulers]  # noqa: RUF012  # diffusers' own way

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.0001,
        beta_end: float = 0.02,
        beta_schedule: str = "linear",
        trained_betas: Sequence[float] | None = None,
        prediction_type: str = "epsilon",
        process: str = "betas",
        sigma_min: float | None = None,
        sigma_max: float | None = None,
        sigma_data: float = 0.5,
        method: str = "TwoStep",
        timestep_spacing: str = "uniform_lambda",
        steps_offset: int = 0,
        path: str = "grid",
        eta: float | Sequence[float] = 1.0,
        variance: float = 0.0,
        clip_sample: bool = False,
        clip_sample_range: float = 1.0,
        thresholding: bool = False,
        dynamic_thresholding_ratio: float = 0.995,
        sample_max_value: float = 1.0,
        rescale_betas_zero_snr: bool = False,
    ) -> None:
        if path not in ("grid", "tree"):
            raise ValueError(f"path must be 'grid' or 'tree', got {path!r}")
        self._training = training_of(self.config)
        self.process = self._training.process
        self._clock = NoiseClock(_not_ours, self.process, "x0", eta=eta, variance=variance)
        self.method = method_named(method)
        self._check_opening()
        if isinstance(self.process, DiscreteVP):
            integrals = torch.tensor((0.0, *self.process.integrals), dtype=torch.float64)
            self.alphas_cumprod = torch.exp(-integrals[1:]).float()
            self.betas = -torch.expm1(-torch.diff(integrals)).float()
        self._seeds: int | list[int] | None = None
        self._asking: Asking | None = None
        self._returned: Tensor | None = None
        self._index: int | None = None
        self._begin_index: int | None = None
        self._each = lower(self.method, matrix=False, additive=True).count(drift=True)
        self._step_of: list[int] = []
        self.num_inference_steps: int | None = None
        self.timesteps = self._all_labels()
        self._forget()

    @classmethod
    def extract_init_dict(cls, config_dict: Any, **kwargs: Any) -> Any:
        """Diffusers' own way from a configuration to parameters, with those of other schedulers as ours."""
        ours = translated(config_dict) if config_dict else {}
        defaults = set(config_dict.get("_use_default_values", ())) - set(ours)
        config_dict = {**config_dict, **ours, "_use_default_values": list(defaults)}
        return super().extract_init_dict(config_dict, **kwargs)

    # ------------------------------------------------------------------ what pipelines look at

    def __len__(self) -> int:
        return int(self.config.num_train_timesteps)

    @property
    def order(self) -> int:
        """Evaluations a step."""
        return self._each

    @property
    def init_noise_sigma(self) -> float:
        """Standard deviation of the noise that a pipeline starts with."""
        if self.num_inference_steps is None:
            return 1.0
        alpha, sigma = self.process.alpha(self._grid[0]), self.process.sigma(self._grid[0])
        return math.sqrt(float(sigma**2 + self.config.variance * alpha**2))

    @property
    def step_index(self) -> int | None:
        """Which of `timesteps` is next; None before the first `step`."""
        return self._index

    @property
    def begin_index(self) -> int | None:
        """Which of `timesteps` a pipeline begins at, if it said so."""
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Begin at one of `timesteps` (image to image); see the class."""
        if begin_index and self.num_inference_steps is not None and self.method.start is not None:
            self._begin_anew(begin_index)
        self._begin_index = begin_index

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """What the network sees of the sample that it is asked about at `timestep`."""
        return self._training.entered(sample, timestep)

    def set_seed(self, seed: int | Sequence[int] | None) -> None:
        """Fix the noise of the steps: one seed for the batch, one an item, or None for `generator`."""
        self._seeds = seed if seed is None or isinstance(seed, int) else [int(s) for s in seed]

    def set_timesteps(
        self, num_inference_steps: int, device: torch.device | str | None = None
    ) -> None:
        """Plan a run of n - 1 steps and the final denoising evaluation; see the class."""
        steps = steps_for(self.method, self._each * (num_inference_steps - 1) + 1)
        spacing = self.config.timestep_spacing
        if spacing == "leading":
            spacing = f"leading({self.config.steps_offset})"
        self._grid = time_grid(spacing, self.process, steps)
        self.num_inference_steps = num_inference_steps
        labels, self._step_of = self._rehearsed(self._grid)
        self.timesteps = labels.to(device=device)
        self._forget()

    def _rehearsed(self, grid: Tensor) -> tuple[Tensor, list[int]]:
        """At which labels the network will be wanted, and in which steps: a run on one number."""
        path = None if self._clock.stochasticity.silent else "grid"
        start = torch.zeros(1, 1, dtype=torch.float64)
        rehearsal = Asking(start, self._clock.of(grid), method=self.method, path=path)
        times, steps = [rehearsal.time], [rehearsal.step]
        while not rehearsal.finished:
            rehearsal.answer(torch.zeros_like(rehearsal.state))
            times.append(rehearsal.time)
            steps.append(rehearsal.step)
        return self._training.label(self._time(torch.stack(times), grid)).float(), steps

    def _check_opening(self) -> None:
        """Refuse a method that does not first evaluate where it begins, for the noise of this eta."""
        grid = self._clock.of(time_grid("uniform_lambda", self.process, 1))
        path = None if self._clock.stochasticity.silent else "grid"
        start = torch.zeros(1, 1, dtype=torch.float64)
        opening = Asking(start, grid, method=self.method, path=path)
        if opening.time != grid[0] or not torch.equal(opening.state, start):
            raise ValueError(
                f"method {self.method.name!r} first evaluates at a stage, which its noise or a step leads "
                "to, but a pipeline first calls its network at the noise it begins with, and one more call "
                "is not in its budget; take 'OneStage' or 'TwoStep', or diffusion.sample"
            )

    def _all_labels(self) -> Tensor:
        """As many as there were in training; what a scheduler has before `set_timesteps`."""
        n = len(self)
        if isinstance(self.process, DiscreteVP):
            return torch.arange(n - 1, -1, -1, dtype=torch.float32)
        return self._training.label(time_grid("uniform_lambda", self.process, n - 1)).float()

    def _begin_anew(self, index: int) -> None:
        """Plan the evaluations from `index` on as a run of their own."""
        first = float(self._training.time(self.timesteps[index].cpu()))
        steps = steps_for(self.method, len(self.timesteps) - index)
        spacing = self.config.timestep_spacing
        if spacing.partition("(")[0] in grids:
            grid = time_grid(spacing, self.process, steps, first_time=first)
        else:  # the last of the labels that were planned
            grid = torch.cat([torch.tensor([first], dtype=torch.float64), self._grid[-steps:]])
        labels, step_of = self._rehearsed(grid)
        if len(labels) != len(self.timesteps) - index:
            raise ValueError(
                f"method {self.method.name!r} takes {len(labels)} evaluations from timestep {first:g} "
                f"on, but {len(self.timesteps) - index} are planned: begin at another index"
            )
        self.timesteps[index:] = labels.to(self.timesteps)
        self._grid, self._step_of = grid, [-1] * index + step_of

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Clean samples, noised to the level of each timestep."""
        alpha, sigma = self._levels(original_samples, timesteps)
        return alpha * original_samples + sigma * noise

    def scale_noise(self, sample: Tensor, timestep: Tensor, noise: Tensor) -> Tensor:
        """`add_noise`, as pipelines of rectified flow call it."""
        return self.add_noise(sample, noise, timestep)

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The v that belongs to clean samples and noise: a training target."""
        alpha, sigma = self._levels(sample, timesteps)
        return alpha * noise - sigma * sample

    # ------------------------------------------------------------------ the steps

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        generator: torch.Generator | list[torch.Generator] | None = None,
        return_dict: bool = True,
    ) -> TableauSchedulerOutput | tuple[Tensor, Tensor]:
        """Take the network's output at `timestep` and `sample`; say at which state it is wanted next.

        Raises
        ------
        ValueError
            Without `set_timesteps`, at a timestep that is not the next one, or where the method
            cannot begin.
        """
        dtype = torch.float64 if sample.dtype == torch.float64 else torch.float32
        state = sample.detach().to(dtype)
        if self._asking is None:
            self._asking = self._started(float(timestep), state, generator)
        asking, index = self._asking, self._index
        assert index is not None
        if abs(float(self.timesteps[index]) - float(timestep)) > 1e-3:
            raise ValueError(
                f"timestep {float(timestep):g} is not the next one, {float(self.timesteps[index]):g}; "
                "call set_timesteps before another run"
            )
        time, t, alpha = self._now(asking)
        if self._returned is not None and not torch.equal(self._returned, sample):
            asking.put(asking.y + (state - self._returned.to(dtype)) * (time / alpha).to(state))
        x = asking.state * (alpha / time).to(state)
        if model_output.shape[1] == 2 * x.shape[1]:
            model_output = model_output[:, : x.shape[1]]  # the rest is a learned variance
        x0 = self._training.x0(model_output.detach().to(dtype), x, t)
        for correction in self._corrections():
            x0 = correction(x0, t)
        self._index = index + 1
        if asking.finished:
            result = x0
            self._forget()
        else:
            asking.answer(self._clock.drift_of(time, asking.state, x0))
            time, _, alpha = self._now(asking)
            result = asking.state * (alpha / time).to(state)
        result, preview = result.to(sample.dtype), x0.to(sample.dtype)
        self._returned = None if self._asking is None else result
        if not return_dict:
            return result, preview
        return TableauSchedulerOutput(prev_sample=result, pred_original_sample=preview)

    def _forget(self) -> None:
        """No run is under way."""
        self._asking = self._returned = None
        self._index = self._begin_index = None

    def _started(
        self, timestep: float, x: Tensor, generator: torch.Generator | list[torch.Generator] | None
    ) -> Asking:
        """A run from the timestep on."""
        if self.num_inference_steps is None:
            raise ValueError("call set_timesteps before step")
        index = self._begin_index
        if index is None:
            index = int((self.timesteps.cpu().double() - timestep).abs().argmin())
        first = self._step_of[index]
        new = index == 0 or self._step_of[index - 1] < first
        if not new or abs(float(self._training.label(self._grid[first])) - timestep) > 1e-2:
            raise ValueError(
                f"method {self.method.name!r} cannot begin at timestep {timestep:g}, number {index}: "
                "a run begins at the first evaluation of a step; a method with memory also needs to "
                "be told where, by set_begin_index"
            )
        self._index = index
        grid = self._clock.of(self._grid[first:])
        z = self._clock.from_state(float(self._grid[first]), x)
        if len(grid) == 1:
            return _Finished(z, grid)
        path = self._clock.driver(self._path(x, generator))
        return Asking(z, grid, method=self.method, path=path)

    def _path(
        self, x: Tensor, generator: torch.Generator | list[torch.Generator] | None
    ) -> GridPath | TreePath:
        seeds = self._seeds
        if seeds is None:
            if isinstance(generator, list):
                seeds = [_drawn(g) for g in generator]
            else:
                seeds = _drawn(generator)
        if isinstance(seeds, list) and len(seeds) != len(x):
            raise ValueError(f"there are {len(seeds)} seeds or generators for {len(x)} items")
        seed = torch.tensor(seeds, dtype=torch.int64) if isinstance(seeds, list) else seeds
        options: dict[str, Any] = {
            "seed": seed,
            "batch": x.shape[:1],
            "channels": x.shape[1:],
            "dtype": x.dtype,
            "device": x.device,
        }
        whole = self._clock.noise(self._clock.of(self._grid))
        ends = float(whole[0]), float(whole[-1])
        if self.config.path == "grid" or ends[0] == ends[1]:
            return GridPath(**options)
        return TreePath(t0=ends[0], t1=ends[1], warp=logarithmic(*ends), **options)

    def _now(self, asking: Asking) -> tuple[Tensor, Tensor, Tensor]:
        """Where a run is: the clock, the time, alpha."""
        clock = asking.time.cpu().double()
        t = self._time(clock, self._grid)
        return clock, t, self.process.alpha(t)

    def _time(self, clock: Tensor, grid: Tensor) -> Tensor:
        """The process's time; a clock that left the grid by rounding is at its end."""
        low, high = (float(self._clock.of(grid[n])) for n in (0, -1))
        return self._clock.time(clock.clamp(low, high))

    def _corrections(self) -> list[Correction]:
        # From the configuration of now: some pipelines change that of the scheduler they are given.
        if self.config.thresholding:
            ratio, limit = self.config.dynamic_thresholding_ratio, self.config.sample_max_value
            return [dynamic_threshold(ratio, limit)]
        if self.config.clip_sample:
            return [clip(-self.config.clip_sample_range, self.config.clip_sample_range)]
        return []

    def _levels(self, x: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        t = self._training.time(torch.as_tensor(timesteps).cpu())
        t = t.reshape(-1, *(1,) * (x.ndim - 1))
        return self.process.alpha(t).to(x), self.process.sigma(t).to(x)


class _Finished(Asking):
    """No step is left: only the final denoising."""

    def __init__(self, y: Tensor, grid: Tensor) -> None:
        self.y = self.state = y
        self.step, self.finished, self.time = 0, True, grid[0]


def _not_ours(x: Tensor, t: Tensor) -> Tensor:
    raise AssertionError("the pipeline calls the network")


def method_named(text: str) -> Tableau:
    """A tableau from a name of the catalogue or from its TOML text."""
    return loads(text) if "\n" in text else catalogue[text]


def _drawn(generator: torch.Generator | None) -> int:
    """A seed from a generator; None is PyTorch's own."""
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(0, 2**63 - 1, (), generator=generator, device=device))
