"""CFD where the answer is known: between two Gaussians, through Bochner's theorem, and as the spec measured it."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from limbeck.losses.characteristic import draw_frequencies, root, squared
from limbeck.losses.kernel import mmd
from limbeck.rng import stream


def normal(seed, n, d, deviation=1.0):
    return deviation * torch.randn(n, d, generator=stream(seed, "normal"), dtype=torch.float64)


def known(apart, first, second, d, s):
    r"""Of N(mu_1, a^2 I), N(mu_2, b^2 I) over t ~ N(0, s^2 I). With :math:`\phi(t) = e^{i \mu t - a^2 |t|^2 / 2}` and
    :math:`E\,e^{-c|t|^2/2 + i \delta t} = (1 + c s^2)^{-D/2} e^{-|\delta|^2 s^2 / 2(1 + c s^2)}`.
    And E|phi|^2 of both."""

    def expected(c, square=0.0):
        return (1 + c * s**2) ** (-d / 2) * math.exp(-square * s**2 / (2 * (1 + c * s**2)))

    own = expected(2 * first**2), expected(2 * second**2)
    return own[0] + own[1] - 2 * expected(first**2 + second**2, apart**2), own


@pytest.mark.parametrize(("apart", "second", "s"), [(0.0, 1.0, 0.5), (1.5, 1.0, 0.5), (0.0, 2.0, 0.5), (0.8, 0.5, 0.3)])
def test_two_gaussians(apart, second, s):
    """Finite samples add (1 - E|phi|^2) / n each; what is left is within four standard errors of forty repetitions."""
    d, n, m, count, repetitions = 4, 300, 200, 256, 40
    shift = torch.tensor([apart, 0, 0, 0], dtype=torch.float64)
    found = []
    for i in range(repetitions):
        x, y = normal(2 * i, n, d), normal(2 * i + 1, m, d, second) + shift
        t = draw_frequencies(count, d, stream(i, "t"), scale=s).double()
        found.append(squared(x, (n,), y, (m,), t).item())
    true, own = known(apart, 1.0, second, d, s)
    values = torch.tensor(found)
    error = values.std().item() / math.sqrt(repetitions)
    assert error < 0.1 * true + 1e-3  # else anything would pass
    assert abs(values.mean().item() - true - (1 - own[0]) / n - (1 - own[1]) / m) < 4 * error


@pytest.mark.parametrize("s", [0.5, 1.0])
def test_the_squared_form_is_on_average_the_gaussian_kernels_mmd(s):
    x, y = F.normalize(normal(0, 7, 16), dim=1), F.normalize(normal(1, 5, 16), dim=1)
    found = torch.stack(
        [squared(x, (3, 4), y, (4, 1), draw_frequencies(512, 16, stream(i, "t"), scale=s).double()) for i in range(50)]
    )
    error = found.std().item() / math.sqrt(len(found))
    true = mmd(x, (3, 4), y, (4, 1), 1 / s).item()
    assert error < 0.01 * true
    assert abs(found.mean().item() - true) < 4 * error


def cloud(seed, centre, n, cosine=0.5):
    """Unit rows of which any two have about that cosine."""
    noise = F.normalize(torch.randn(n, len(centre), generator=stream(seed, "cloud")), dim=1)
    return F.normalize(math.sqrt(cosine) * centre + math.sqrt(1 - cosine) * noise, dim=1)


def test_magnitudes_of_the_spec():
    """128 real and 10 synthetic unit rows of width 1024: 0.04 and 38 of the same class, 0.54 and 132 far apart."""
    centres = F.normalize(torch.randn(2, 1024, generator=stream(0, "centres")), dim=1)
    x, t = cloud(0, centres[0], 128), draw_frequencies(4096, 1024, stream(0, "t"))
    near, far = cloud(1, centres[0], 10), cloud(1, centres[1], 10)
    assert squared(x, (128,), near, (10,), t).item() == pytest.approx(0.042, abs=0.005)
    assert 300 * root(x, (128,), near, (10,), t).item() == pytest.approx(38, abs=3)
    assert squared(x, (128,), far, (10,), t).item() == pytest.approx(0.53, abs=0.04)
    assert 300 * root(x, (128,), far, (10,), t).item() == pytest.approx(132, abs=8)


def test_frequencies_that_repeat_change_nothing():
    """Why the sampling network has no copies: NCFM's code repeats 4 rows 16 times."""
    x, y, t = normal(0, 5, 3), normal(1, 4, 3), normal(2, 4, 3)
    for form in (squared, root):
        one, many = (form(x, (5,), y, (4,), f).item() for f in (t, t.repeat(16, 1)))
        assert many == pytest.approx(one, rel=1e-12)
