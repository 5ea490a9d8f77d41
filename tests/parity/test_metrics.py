"""Metrics against independent formulas: scipy, scikit-learn, plain loops, closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import linalg
from sklearn.neighbors import NearestNeighbors

from agon.metrics import Features, Metric, reduce
from agon.metrics.c2st import TwoSampleTest, logistic, told_apart
from agon.metrics.classes import Classes
from agon.metrics.frechet import Frechet, frechet_distance
from agon.metrics.inception_score import InceptionScore
from agon.metrics.kernel import KernelDistance, mmd2_unbiased
from agon.metrics.moments import Moments
from agon.metrics.prdc import PRDC, prdc
from agon.metrics.toy import Modes


def clouds(n: int, m: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two correlated, shifted clouds [n, d] and [m, d]."""
    g = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=g, dtype=torch.float64) / math.sqrt(d)
    a = torch.randn(n, d, generator=g, dtype=torch.float64) @ mix
    b = 1.3 * torch.randn(m, d, generator=g, dtype=torch.float64) @ mix + 0.2
    return a, b


def fd(x: torch.Tensor, y: torch.Tensor) -> float:
    a, b = Moments.of(x), Moments.of(y)
    return frechet_distance(a.mean, a.cov, b.mean, b.cov)


@pytest.mark.parametrize(("n", "m", "d"), [(300, 200, 8), (500, 500, 64), (900, 700, 200)])
def test_fd_equals_scipy_sqrtm(n: int, m: int, d: int) -> None:
    a, b = (t.numpy() for t in clouds(n, m, d))
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * linalg.sqrtm(s1 @ s2).real)
    assert fd(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected, rel=1e-8)


def test_fd_closed_form_of_commuting_gaussians() -> None:
    """Diagonal covariances: the sum of (μ₁ − μ₂)² + (σ₁ − σ₂)² over coordinates."""
    m1, m2 = torch.tensor([1.0, -2.0, 0.0]).double(), torch.tensor([0.0, 0.5, 3.0]).double()
    v1, v2 = torch.tensor([4.0, 1.0, 0.25]).double(), torch.tensor([1.0, 9.0, 0.0]).double()
    expected = (m1 - m2).square().sum() + (v1.sqrt() - v2.sqrt()).square().sum()
    assert frechet_distance(m1, v1.diag(), m2, v2.diag()) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(400, 32), (50, 200), (3, 64), (2, 10)])
def test_fd_of_a_set_with_itself_is_nothing(n: int, d: int) -> None:
    """Also where n < d leaves the covariance singular; 1e-6 of the covariance's own trace."""
    x = clouds(n, 2, d)[0] * 7 + 100
    assert fd(x, x) <= 1e-6 * float(Moments.of(x).cov.trace())


def test_fd_of_singular_covariances() -> None:
    """Two point clouds in orthogonal planes of a large space: no shared direction, so FD = traces + means."""
    x, y = torch.zeros(40, 500).double(), torch.zeros(40, 500).double()
    a, b = clouds(40, 40, 2)
    x[:, :2], y[:, 300:302] = a, b
    m1, m2 = Moments.of(x), Moments.of(y)
    expected = (m1.mean - m2.mean).square().sum() + m1.cov.trace() + m2.cov.trace()
    assert fd(x, y) == pytest.approx(float(expected), rel=1e-9)


def test_moments_equal_numpy() -> None:
    x = clouds(123, 2, 9)[0] + 50
    assert np.allclose(Moments.of(x).cov.numpy(), np.cov(x.numpy(), rowvar=False), atol=1e-10)


def test_mmd_equals_the_double_sum() -> None:
    a, b = (t.numpy() for t in clouds(30, 20, 5))

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return (float(x @ y) / 5 + 1) ** 3

    xx = sum(k(a[i], a[j]) for i in range(30) for j in range(30) if i != j) / (30 * 29)
    yy = sum(k(b[i], b[j]) for i in range(20) for j in range(20) if i != j) / (20 * 19)
    xy = sum(k(x, y) for x in a for y in b) / 600
    assert float(mmd2_unbiased(torch.from_numpy(a), torch.from_numpy(b))) == pytest.approx(xx + yy - 2 * xy, rel=1e-10)


def test_kid_is_the_mean_over_its_subsets_and_unbiased() -> None:
    a, b = clouds(400, 300, 6)
    one = kid(a, b)
    assert one == kid(a, b), "the same seed, the same figure"
    whole = float(mmd2_unbiased(a, b))
    assert one == pytest.approx(whole, rel=0.2)
    g = torch.Generator().manual_seed(3)
    same = [float(mmd2_unbiased(torch.randn(50, 6, generator=g).double(), torch.randn(50, 6, generator=g).double())) for _ in range(200)]
    assert abs(np.mean(same)) < 4 * np.std(same) / math.sqrt(200), "zero on average for equal distributions"


def kid(fake: torch.Tensor, real: torch.Tensor) -> float:
    metric = KernelDistance(real, len(fake), size=100, subsets=50)
    metric.update(Features(fake))
    return metric.compute()["kid"]


@pytest.mark.parametrize(("n", "m"), [(300, 400), (777, 60)])
def test_prdc_equals_scikit_learn(n: int, m: int) -> None:
    real, fake = (t.numpy() for t in clouds(n, m, 7, seed=4))

    def radii(x: np.ndarray, k: int) -> np.ndarray:
        return NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(x).kneighbors(x)[0][:, k]

    distance = np.sqrt(((real[:, None] - fake[None]) ** 2).sum(-1))
    r3, r5, f3 = radii(real, 3), radii(real, 5), radii(fake, 3)
    expected = {
        "precision": (distance <= r3[:, None]).any(0).mean(),
        "recall": (distance <= f3[None]).any(1).mean(),
        "density": (distance <= r5[:, None]).sum() / (5 * m),
        "coverage": (distance.min(1) <= r5).mean(),
    }
    assert prdc(torch.from_numpy(real), torch.from_numpy(fake)) == pytest.approx(expected, abs=1e-12)


def test_prdc_of_copies_and_of_strangers() -> None:
    x = clouds(200, 2, 4)[0]
    assert prdc(x, x.clone())["precision"] == prdc(x, x.clone())["recall"] == prdc(x, x.clone())["coverage"] == 1
    assert prdc(x, x + 1000) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    constant = prdc(x, x[:1].repeat(100, 1))
    assert constant["precision"] == 1
    assert constant["recall"] <= 1 / 200, "a constant generator recalls nothing but the picture it repeats"


def test_prdc_needs_more_samples_than_neighbours() -> None:
    x = clouds(20, 2, 4)[0]
    assert all(math.isnan(value) for value in prdc(x, x[:5]).values())


@pytest.mark.parametrize("splits", [1, 4])
def test_inception_score_equals_the_formula(splits: int) -> None:
    p = torch.randn(203, 10, generator=torch.Generator().manual_seed(1)).double().mul(3).softmax(1)
    p[0] = torch.eye(10)[3]  # a certain sample: 0 · log 0 = 0
    metric = InceptionScore(10, splits=splits)
    for part in p.split(50):
        metric.update(Features(part, part))
    expected = []
    for k in range(splits):
        q = p[k::splits].numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            kl = np.nansum(q * (np.log(q) - np.log(q.mean(0))), axis=1)
        expected.append(np.exp(kl.mean()))
    assert metric.compute()["is"] == pytest.approx(np.mean(expected), rel=1e-12)


def test_the_two_sample_tests_regression_is_scikit_learns() -> None:
    from sklearn.linear_model import LogisticRegression

    a, b = clouds(120, 150, 5)
    x, y = torch.cat([a, b]), torch.cat([torch.ones(120), torch.zeros(150)]).double()
    w = logistic(torch.cat([x, torch.ones(270, 1).double()], 1), y)
    theirs = LogisticRegression(C=1 / 100, tol=1e-10, max_iter=10_000).fit(x.numpy(), y.numpy())
    assert w[:-1].tolist() == pytest.approx(theirs.coef_[0].tolist(), abs=1e-5)
    assert float(w[-1]) == pytest.approx(float(theirs.intercept_[0]), abs=1e-4)


def test_the_two_sample_test_at_its_ends() -> None:
    g = torch.Generator().manual_seed(0)

    def some(n: int, shift: float = 0.0, scale: float = 1.0) -> torch.Tensor:
        return scale * torch.randn(n, 16, generator=g, dtype=torch.float64) + shift

    def accuracy(fake: torch.Tensor, real: torch.Tensor) -> float:
        return float(told_apart(fake, real).double().mean())

    alike = [accuracy(some(400), some(400)) for _ in range(12)]
    assert abs(sum(alike) / 12 - 0.5) < 0.02
    assert accuracy(some(400, shift=5), some(400)) == 1
    assert accuracy(some(400, scale=1.5), some(400)) > 0.75, "spread counts as well as place"
    # Of two normal laws d apart along one direction the best classifier is right with chance Φ(d / 2).
    apart = torch.zeros(16, dtype=torch.float64)
    apart[3] = 2.0
    assert accuracy(some(2_000) + apart, some(2_000)) == pytest.approx(0.8413, abs=0.02)
    real = some(1_000)
    for share in (100, 500, 1_000):
        copies = torch.cat([real[:share], some(1_000 - share)]) + 1e-6
        assert accuracy(copies, real) == pytest.approx(0.5, abs=0.03), "copies are neither told apart nor better than chance"
    constant = torch.ones(50, 3, dtype=torch.float64)
    assert accuracy(constant, constant.clone()) == pytest.approx(0.5, abs=0.1)
    assert accuracy(real[:1].repeat(400, 1), real[:400]) > 0.99, "one real sample over and over is no sample of the rest"
    metric = TwoSampleTest(real, 100)
    metric.update(Features(some(100, shift=9)))
    assert metric.compute() == {"c2st": 1.0}
    assert metric.intervals()["c2st"][1] == 1.0
    few = TwoSampleTest(real, 10)
    few.update(Features(some(10)))
    assert math.isnan(few.compute()["c2st"])
    assert few.intervals() == {}


def test_inception_score_at_its_ends() -> None:
    sure, unsure = InceptionScore(10), InceptionScore(10)
    sure.update(Features(torch.eye(10).double(), torch.eye(10).double()))
    unsure.update(Features(torch.eye(10).double(), torch.full((10, 10), 0.1).double()))
    assert sure.compute()["is"] == pytest.approx(10)
    assert unsure.compute()["is"] == pytest.approx(1)


def build(name: str, real: torch.Tensor, n: int, share: tuple[int, int] = (0, 1)) -> Metric:
    """A metric of each kind for n samples of the width of `real`."""
    return {
        "fd": lambda: Frechet(Moments.of(real)),
        "kid": lambda: KernelDistance(real, n, seed=2, subsets=5, size=40, share=share),
        "c2st": lambda: TwoSampleTest(real, n, seed=2, share=share),
        "prdc": lambda: PRDC(real, n, seed=2, share=share),
        "is": lambda: InceptionScore(5, splits=2, share=share),
        "classes": lambda: Classes(5),
        "modes": lambda: Modes(real[:6], 1.0),
    }[name]()


@pytest.mark.parametrize(("count", "told"), [(2, "1%"), (10, "1%"), (100, "0.1%"), (1000, "0.01%")])
def test_all_of_many_even_classes_are_there(count: int, told: str) -> None:
    metric, chosen = Classes(count), torch.randint(count, (50_000,), generator=torch.Generator().manual_seed(0))
    for part in chosen.split(5_000):
        metric.update(Features(torch.zeros(len(part), 1), torch.nn.functional.one_hot(part, count).double()))
    assert metric.compute() == {"classes": count}
    assert metric.settings() == f"of {count}, present ≥ {told}"


def test_a_class_with_few_of_its_share_is_not_there() -> None:
    metric = Classes(100)
    metric.load({"counts": torch.tensor([1000.0] * 50 + [100.0] * 30 + [1.0] * 20)})
    assert metric.compute() == {"classes": 80}


@pytest.mark.parametrize("name", ["fd", "kid", "c2st", "prdc", "is", "classes", "modes"])
@pytest.mark.parametrize("num_ranks", [2, 3])
def test_states_of_ranks_add_up_to_the_whole(name: str, num_ranks: int) -> None:
    real, fake = clouds(80, 100, 6)
    p = fake[:, :5].softmax(1)
    whole = build(name, real, 100)
    whole.update(Features(fake, p))
    parts = []
    for rank in range(num_ranks):
        metric = build(name, real, 100, (rank, num_ranks))
        mine, probabilities = fake[rank::num_ranks], p[rank::num_ranks]
        metric.update(Features(mine[:7], probabilities[:7]))
        metric.update(Features(mine[7:], probabilities[7:]))
        parts.append(metric.state())
    joined = build(name, real, 100)
    joined.load(reduce(parts))
    assert joined.compute() == pytest.approx(whole.compute(), rel=1e-9, abs=1e-12)


def test_metrics_of_broken_numbers_are_not_numbers() -> None:
    real, fake = clouds(80, 100, 6)
    fake[3, 2] = math.nan
    for name in ("fd", "kid", "c2st", "prdc"):
        metric = build(name, real, 100)
        metric.update(Features(fake))
        assert all(math.isnan(value) for value in metric.compute().values()), name


def test_modes_by_hand() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    metric = Modes(centres, 1.0)
    points = torch.tensor([[0.0, 2.9], [0.0, 3.1], [10.0, 0.0], [math.nan, 0.0], [500.0, 0.0]])
    metric.update(Features(points))
    assert metric.compute() == {"modes": 2.0, "quality": 0.4}
    assert metric.detail() == {"counts": [1, 1, 0]}
