"""Convergence studies: errors with confidence intervals, and the order that they show.

Three ways to an error:

`strong`
    The root mean square distance to the solution on the same Brownian path. One tree path serves
    every step size, and the closed form is evaluated on that very path.
`weak`
    ``|E f(X_N) - E f(X)|``. Where the method uses path variables and the problem has a closed form,
    the difference is averaged on common paths, which removes nearly all of its variance.
`moments`
    First and second moments of linear problems without any sampling: the expectation over one step
    is a finite sum, exact for discrete variables and by Gauss quadrature for Gaussian ones.

Statistics. Paths are dealt into at most 128 blocks; every interval comes from leaving out one block
at a time (a jackknife), so that the correlation of step sizes that share their paths is accounted
for by construction. The order is the slope of a weighted least-squares line through ``log error``
against ``log h``, in the limit h -> 0: deviations ``a x + b x^2 + c x^3``, ``x = h/h_max``, of its
logarithm from the power law, of standard deviations 1/2, 1/8 and 1/32, are part of the model and of
the interval. Where the points contradict even that, coarse ones are dropped. The intervals need a
finite fourth moment of the error; heavy tails (large noise over long times) make them too narrow.
"""

from sdeint.convergence.expectations import weak
from sdeint.convergence.linear_moments import moments
from sdeint.convergence.pathwise import strong
from sdeint.convergence.study import Study

__all__ = ["Study", "moments", "strong", "weak"]
