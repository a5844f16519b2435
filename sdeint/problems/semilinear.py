r"""Semilinear problems: stochastic fields on a ring, particles in a stiff potential, a sampler.

The state of a field is its vector of Fourier modes, real and orthonormal (`Modes`). So L is diagonal,
each mode has a Brownian motion of its own, white noise and coloured noise alike, and the exact noise
of `ExponentialEM` and `SETDRK2` is exact for each. The transforms are those of the nonlinear part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.linear.operators import Scalar
from sdeint.problem import SemilinearSDE

__all__ = [
    "Modes",
    "Semilinear",
    "allen_cahn",
    "burgers",
    "heat",
    "heat_covariance",
    "langevin",
    "neuron",
    "reverse_vp",
]


@dataclass(frozen=True)
class Semilinear:
    """A semilinear equation, its start and what is known of it.

    Attributes
    ----------
    name : str
    sde : SemilinearSDE
    y0 : Tensor
        Start of one path, (d,).
    end : float
        A time at which something has happened.
    citation : str
    modes : Modes or None
        For fields: between modes and values on the ring.
    variance : Tensor or None
        The stationary variance of each component, where it is known.
    """

    name: str
    sde: SemilinearSDE
    y0: Tensor
    end: float
    citation: str
    modes: Modes | None = None
    variance: Tensor | None = None

    def start(self, paths: int) -> Tensor:
        """`y0` for every path, (paths, d)."""
        return self.y0.expand(paths, len(self.y0))


class Modes:
    """Real orthonormal Fourier modes of fields on a ring.

    In the order constant, alternating, then cosine and sine of each frequency.

    Parameters
    ----------
    points : int
        Even; as many modes as places.
    length : float
        Of the ring.

    Examples
    --------
    >>> import torch
    >>> modes = Modes(8, 8.0)
    >>> u = torch.randn(3, 8, dtype=torch.float64)
    >>> v = modes.of(u)
    >>> torch.allclose(modes.field(v), u), torch.allclose(v.norm(dim=-1), u.norm(dim=-1))
    (True, True)
    """

    def __init__(self, points: int, length: float) -> None:
        if points < 4 or points % 2 or not length > 0.0:
            raise ProblemError(
                f"modes need an even number of places, at least 4, and a positive length; got "
                f"{points} and {length}"
            )
        self.points, self.length = points, length
        frequency = torch.arange(points, dtype=torch.float64) // 2
        frequency[1] = points // 2
        #: The wave number of each mode.
        self.wave = 2.0 * math.pi / length * frequency
        self.scale = torch.full((points,), math.sqrt(2.0), dtype=torch.float64)
        self.scale[:2] = 1.0

    @property
    def spacing(self) -> float:
        """The distance between neighbouring places."""
        return self.length / self.points

    def places(self) -> Tensor:
        """Where a field is given, (points,)."""
        return self.spacing * torch.arange(self.points, dtype=torch.float64)

    def of(self, field: Tensor) -> Tensor:
        """The modes of values, along the last axis."""
        return self.packed(torch.fft.rfft(field, norm="ortho"))

    def packed(self, coefficients: Tensor) -> Tensor:
        """The modes of coefficients of `torch.fft.rfft`."""
        pairs = torch.view_as_real(coefficients).flatten(-2)
        n = self.points
        # Those of the constant and the alternating mode are real: the second takes the free place.
        modes = torch.cat((pairs[..., :1], pairs[..., n : n + 1], pairs[..., 2:n]), dim=-1)
        return modes * self.scale.to(modes)

    def coefficients(self, modes: Tensor) -> Tensor:
        """Coefficients as of `torch.fft.rfft`."""
        v = modes / self.scale.to(modes)
        zero = torch.zeros_like(v[..., :1])
        pairs = torch.cat((v[..., :1], zero, v[..., 2:], v[..., 1:2], zero), dim=-1)
        return torch.view_as_complex(pairs.view(*pairs.shape[:-1], -1, 2))

    def field(self, modes: Tensor) -> Tensor:
        """The values at the places."""
        values: Tensor = torch.fft.irfft(self.coefficients(modes), n=self.points, norm="ortho")
        return values


def _strength(modes: Modes, noise: float, roughness: float | None) -> Tensor:
    """The diffusion of each mode: white, or coloured with ``(1 + k^2)^(-roughness/2)``."""
    white = torch.full_like(modes.wave, noise / math.sqrt(modes.spacing))
    return white if roughness is None else white * (1.0 + modes.wave**2) ** (-roughness / 2)


def _noise(strength: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    kept = strength

    def diffusion(t: Tensor, v: Tensor) -> Tensor:
        nonlocal kept
        if kept.dtype != v.dtype or kept.device != v.device:
            kept = strength.to(v)
        return kept

    return diffusion


def _field(
    modes: Modes,
    diffusivity: float,
    rest: Callable[[Tensor, Tensor], Tensor],
    noise: float,
    roughness: float | None,
) -> SemilinearSDE:
    """The equation of a field that diffuses, with noise in every mode."""
    diffusion = _noise(_strength(modes, noise, roughness))
    return SemilinearSDE(-diffusivity * modes.wave**2, rest, diffusion, noise="additive")


def heat(
    points: int = 256,
    *,
    diffusivity: float = 1.0,
    decay: float = 1.0,
    noise: float = 1.0,
    roughness: float | None = None,
    length: float = 2 * math.pi,
) -> Semilinear:
    r"""The stochastic heat equation ``du = (diffusivity u_xx - decay u) dt + noise dW``.

    Every mode is an Ornstein-Uhlenbeck process, of stationary variance
    ``strength^2 / (2 (diffusivity k^2 + decay))``. For white noise and many modes the covariance of
    the field is `heat_covariance`.

    Parameters
    ----------
    points : int
        Modes.
    diffusivity, decay, noise : float
    roughness : float, optional
        r of coloured noise, whose modes have the standard deviation ``noise (1 + k^2)^(-r/2)``;
        None: white in space and time.
    length : float
        Of the ring.
    """
    modes = Modes(points, length)
    rates = -(diffusivity * modes.wave**2 + decay)
    strength = _strength(modes, noise, roughness)
    return Semilinear(
        "heat",
        SemilinearSDE(rates, lambda t, v: torch.zeros_like(v), _noise(strength), noise="additive"),
        torch.zeros(points, dtype=torch.float64),
        1.0,
        "Walsh, Ecole d'ete de probabilites de Saint-Flour XIV, Lecture Notes in Math. 1180 (1986)",
        modes,
        strength**2 / (-2.0 * rates),
    )


def heat_covariance(
    distance: Tensor,
    *,
    diffusivity: float = 1.0,
    decay: float = 1.0,
    noise: float = 1.0,
    length: float = 2 * math.pi,
) -> Tensor:
    """The stationary covariance of `heat` with white noise, of two places at a distance.

    ``noise^2 / (4 diffusivity kappa) cosh(kappa (length/2 - distance)) / sinh(kappa length/2)``,
    kappa = sqrt(decay/diffusivity): the sum over all modes.
    """
    kappa = math.sqrt(decay / diffusivity)
    within = torch.remainder(distance, length)
    top = torch.cosh(kappa * (length / 2 - within)) / math.sinh(kappa * length / 2)
    return noise**2 / (4 * diffusivity * kappa) * top


def allen_cahn(
    points: int = 256,
    *,
    diffusivity: float = 0.1,
    noise: float = 0.1,
    roughness: float | None = None,
    length: float = 2 * math.pi,
) -> Semilinear:
    """The stochastic Allen-Cahn equation ``du = (diffusivity u_xx + u - u^3) dt + noise dW``.

    Two phases, near 1 and -1, and the walls between them. Parameters as those of `heat`.
    """
    modes = Modes(points, length)

    def reaction(t: Tensor, v: Tensor) -> Tensor:
        u = modes.field(v)
        return modes.of(u - u**3)

    x = modes.places() * (2 * math.pi / length)
    return Semilinear(
        "allen-cahn",
        _field(modes, diffusivity, reaction, noise, roughness),
        modes.of(0.5 * torch.sin(x) + 0.3 * torch.cos(3 * x)),
        4.0,
        "Allen and Cahn, Acta Metall. 27 (1979) 1085-1095; with noise: Funaki, Probab. Theory "
        "Related Fields 102 (1995) 221-288",
        modes,
    )


def burgers(
    points: int = 256,
    *,
    viscosity: float = 0.05,
    noise: float = 0.1,
    roughness: float | None = None,
    length: float = 2 * math.pi,
) -> Semilinear:
    """The stochastic Burgers equation ``du = (viscosity u_xx - (u^2)_x / 2) dt + noise dW``.

    Shocks form and are smoothed over the viscosity. The upper third of the frequencies is left out of
    the product, whose aliases they would be. Parameters as those of `heat`.
    """
    modes = Modes(points, length)
    wave = 2 * math.pi / length * torch.arange(points // 2 + 1, dtype=torch.float64)
    kept = torch.arange(points // 2 + 1) <= points // 3
    derivative = torch.complex(torch.zeros_like(wave), -0.5 * wave) * kept

    def advection(t: Tensor, v: Tensor) -> Tensor:
        u = torch.fft.irfft(modes.coefficients(v) * kept, n=points, norm="ortho")
        square = torch.fft.rfft(u**2, norm="ortho")
        return modes.packed(square * derivative.to(square))

    x = modes.places() * (2 * math.pi / length)
    return Semilinear(
        "burgers",
        _field(modes, viscosity, advection, noise, roughness),
        modes.of(torch.sin(x)),
        2.0,
        "Da Prato, Debussche and Temam, NoDEA 1 (1994) 389-402",
        modes,
    )


def neuron(
    points: int = 256,
    *,
    diffusivity: float = 1.0,
    recovery: float = 0.08,
    noise: float = 0.03,
    roughness: float | None = 1.0,
    length: float = 100.0,
) -> Semilinear:
    """The FitzHugh-Nagumo equation of a nerve fibre closed to a ring, with noise in the voltage.

    ``dv = (diffusivity v_xx + v - v^3/3 - w) dt + noise dW, dw = recovery (v + 0.7 - 0.8 w) dt``. The
    state is the modes of v, then those of w. It starts with one pulse, which runs around.

    Parameters
    ----------
    points : int
        Modes of each.
    diffusivity, recovery, noise : float
    roughness : float, optional
        As of `heat`.
    length : float
        Of the ring.
    """
    modes = Modes(points, length)
    rates = torch.cat((-diffusivity * modes.wave**2, torch.full_like(modes.wave, -0.8 * recovery)))
    constant = modes.of(torch.full((points,), 0.7 * recovery, dtype=torch.float64))
    strength = torch.cat((_strength(modes, noise, roughness), torch.zeros_like(modes.wave)))

    def reaction(t: Tensor, y: Tensor) -> Tensor:
        voltage, w = y[..., :points], y[..., points:]
        v = modes.field(voltage)
        return torch.cat((modes.of(v - v**3 / 3) - w, recovery * voltage + constant.to(y)), dim=-1)

    x = modes.places() / length
    # At rest v = -1.1994, w = -0.6243; behind the pulse the fibre has not recovered yet.
    v = -1.1994 + 3.0 * torch.exp(-(((x - 0.3) / 0.03) ** 2))
    w = -0.6243 + 0.7 * torch.exp(-(((x - 0.22) / 0.04) ** 2))
    return Semilinear(
        "neuron",
        SemilinearSDE(rates, reaction, _noise(strength), noise="additive"),
        torch.cat((modes.of(v), modes.of(w))),
        60.0,
        "FitzHugh, Biophys. J. 1 (1961) 445-466; with noise: Tuckwell, Neural Comput. 20 (2008)",
        modes,
    )


def reverse_vp(
    means: Tensor, spread: float = 0.2, *, low: float = 0.1, high: float = 20.0
) -> Semilinear:
    """The reverse VP equation of a mixture of Gaussians, whose score is known.

    ``dx = (-beta x/2 - beta score(t, x)) dt + sqrt(beta) dW`` backwards, from t = 1 to 0: solve it on
    a decreasing grid, from standard normals. Its linear part depends on time, and its integral is
    ``-(low t + (high - low) t^2/2)/2``.

    Parameters
    ----------
    means : Tensor
        (components, d), with equal weights.
    spread : float
        The standard deviation of each component.
    low, high : float
        beta at t = 0 and 1.
    """
    means = means.to(torch.float64)

    def beta(t: Tensor) -> Tensor:
        return low + (high - low) * t

    def integral(t: Tensor) -> Tensor:
        return -(low * t + (high - low) * t**2 / 2) / 2

    def score(t: Tensor, x: Tensor) -> Tensor:
        alpha = torch.exp(integral(t)).to(x)
        variance = alpha**2 * spread**2 + 1 - alpha**2
        away = alpha * means.to(x) - x.unsqueeze(-2)
        share = torch.softmax(-away.square().sum(-1) / (2 * variance), dim=-1)
        return (share.unsqueeze(-1) * away).sum(-2) / variance

    return Semilinear(
        "reverse-vp",
        SemilinearSDE(
            Scalar(lambda t: -beta(t) / 2, integral),
            lambda t, x: -beta(t) * score(t, x),
            lambda t, x: torch.sqrt(beta(t)).expand(x.shape),
            noise="additive",
        ),
        torch.zeros(means.shape[1], dtype=torch.float64),
        1.0,
        "Song et al., ICLR 2021, arXiv 2011.13456",
        None,
        spread**2 + means.var(0, correction=0),
    )


def langevin(
    components: int = 16,
    *,
    stiffest: float = 1e4,
    bumps: float = 1.0,
    temperature: float = 1.0,
) -> Semilinear:
    """Overdamped Langevin dynamics in a stiff quadratic potential with bumps.

    ``dX = -(K X + grad V) dt + sqrt(2 temperature) dW``, K diagonal from 1 to `stiffest` in geometric
    steps, ``V = bumps sum cos x_i``. The stationary density is ``exp(-(x.Kx/2 + V)/temperature)``: a
    product, whose variances are integrals over one component.

    Parameters
    ----------
    components : int
    stiffest : float
        The largest eigenvalue of K, at least 1.
    bumps, temperature : float
    """
    if components < 1 or not stiffest >= 1.0 or not temperature > 0.0:
        raise ProblemError(
            "langevin needs a component, stiffest >= 1 and a positive temperature; got "
            f"{components}, {stiffest} and {temperature}"
        )
    K = torch.logspace(0.0, math.log10(stiffest), components, dtype=torch.float64)
    size = math.sqrt(2.0 * temperature)
    return Semilinear(
        "langevin",
        SemilinearSDE(-K, lambda t, x: bumps * torch.sin(x), lambda t, x: size, noise="additive"),
        torch.zeros(components, dtype=torch.float64),
        5.0,
        "Roberts and Tweedie, Bernoulli 2 (1996) 341-363",
        None,
        torch.stack([_gibbs_variance(float(k), bumps, temperature) for k in K]),
    )


def _gibbs_variance(stiffness: float, bumps: float, temperature: float) -> Tensor:
    """E x^2 of the density exp(-(stiffness x^2/2 + bumps cos x)/temperature).

    The trapezoidal rule, which for a smooth integrand that decays converges geometrically.
    """
    width = 12.0 * math.sqrt(temperature / stiffness) + (math.pi if bumps > stiffness else 0.0)
    x = torch.linspace(-width, width, 4001, dtype=torch.float64)
    density = torch.exp(-(stiffness * x**2 / 2 + bumps * (torch.cos(x) - 1)) / temperature)
    return (x**2 * density).sum() / density.sum()
