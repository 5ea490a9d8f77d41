"""Memorisation, class-wise figures, stacked modes, FD at infinity, path length and intervals against closed forms, scipy and plain loops."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from agon.errors import InputError
from agon.metrics import Features, Metric, Probe, jackknife, lpips, path_length, reduce
from agon.metrics.class_accuracy import ClassAccuracy
from agon.metrics.classwise import Classwise
from agon.metrics.fd_inf import Extrapolated, extrapolated, intercept
from agon.metrics.features import open_pixels
from agon.metrics.frechet import Directions, Frechet, distances, frechet_distance, num_directions
from agon.metrics.kernel import KernelDistance
from agon.metrics.memorisation import Memorisation, authenticity, copied, mann_whitney_z, nearest, three_samples
from agon.metrics.modes_stacked import StackedModes
from agon.metrics.moments import Moments
from agon.metrics.path_length import lengths, slerp, trimmed_mean
from agon.metrics.prdc import PRDC, prdc, prdc_without
from agon.metrics.setting import Setting
from agon.spaces import Space, Vector, Video


def normal(n: int, d: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# -- intervals -----------------------------------------------------------------------------------------------------------------------


def test_students_quantile_and_wilson_equal_scipy() -> None:
    for freedom in (9, 19, 200):
        assert jackknife.student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-3)
    for k, n in ((0, 40), (7, 40), (40, 40), (950, 1000)):
        expected = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert jackknife.wilson(k / n, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_jackknife_of_a_mean_is_the_textbook_interval() -> None:
    """Groups of one: se = sd / √n, and the quantile is Student's."""
    x = normal(20, 1, seed=3).flatten()
    without = (x.sum() - x) / 19
    low, high = jackknife.interval(float(x.mean()), without)
    expected = stats.t.interval(0.95, 19, loc=x.mean().item(), scale=stats.sem(x.numpy()))
    assert (low, high) == pytest.approx(expected, rel=1e-4)


def test_a_bootstrap_of_the_frechet_distance_does_not_hold_its_own_figure() -> None:
    """Why intervals are the jackknife's (docs/decisions/0009): a resample's repeats thin out the covariance, and its distance is half as much again."""

    def fd(x: Tensor) -> float:
        return frechet_distance(x.mean(0), torch.cov(x.T), real.mean(0), torch.cov(real.T))

    real, generator = normal(2_000, 16, seed=1), torch.Generator().manual_seed(0)
    figures, held, ratios = [], 0, []
    for seed in range(10):
        x = normal(400, 16, seed=100 + seed)
        metric = Frechet(Moments.of(real))
        metric.update(Features(x))
        resampled = sorted(fd(x[torch.randint(400, (400,), generator=generator)]) for _ in range(40))
        figures.append((fd(x), *metric.intervals()["fd"]))
        held += resampled[1] <= figures[-1][0] <= resampled[-2]
        ratios.append(sum(resampled) / 40 / figures[-1][0])
    mean = sum(value for value, _, _ in figures) / 10
    assert held == 0 and min(ratios) > 1.5
    assert sum(low <= mean <= high for _, low, high in figures) >= 9


def test_intervals_hold_the_figure_of_other_samples() -> None:
    """Over 60 generators' worth of samples, the 95 % intervals of FD, KID, precision and coverage hold the mean figure about as often."""
    real = normal(500, 4, seed=1)
    figures: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(60):
        fake = Features(normal(400, 4, seed=100 + seed, scale=1.4) + 0.3)
        for metric in (Frechet(Moments.of(real)), KernelDistance(real, 400, subsets=10, size=200), PRDC(real, 400)):
            metric.update(fake)
            values, ends = metric.compute(), metric.intervals()
            for name, (low, high) in ends.items():
                figures.setdefault(name, []).append((values[name], low, high))
    assert set(figures) == {"fd", "kid", "precision", "recall", "density", "coverage"}
    for name, rows in figures.items():
        truth = np.mean([value for value, _, _ in rows])
        held = np.mean([low <= truth <= high for _, low, high in rows])
        assert 0.85 <= held <= 1.0, f"{name}: {held}"
        width = np.mean([high - low for _, low, high in rows])
        most = 12 if name == "recall" else 8  # its radii are held fixed: too wide by a factor of two
        assert width < most * np.std([value for value, _, _ in rows]), f"{name}: the interval is not idly wide"


def test_prdc_without_a_group_equals_leaving_it_out() -> None:
    real, fake = normal(150, 3, seed=1), normal(100, 3, seed=2, scale=0.8)
    values, without = prdc_without(real, fake, groups=20)
    assert values == pytest.approx(prdc(real, fake))
    kept = fake[torch.arange(100) % 20 != 7]
    expected = prdc(real, kept)
    for name in ("precision", "density", "coverage"):
        assert float(without[name][7]) == pytest.approx(expected[name], abs=1e-12), name
    assert float(without["recall"][7]) <= values["recall"]


# -- few samples, infinitely many ----------------------------------------------------------------------------------------------------


def test_few_samples_are_taken_in_few_directions() -> None:
    assert [num_directions(n, 64) for n in (2, 24, 63, 64, 10_000)] == [1, 8, 21, 64, 64]
    real = normal(400, 10) * torch.tensor([9.0, 5, *[0.1] * 8], dtype=torch.float64)
    directions = Directions.of(Moments.of(real), 2)
    seen = directions(real)
    assert seen.shape == (400, 3)
    assert torch.allclose(seen.square().sum(1), (real - real.mean(0)).square().sum(1)), "lengths are kept: nothing is invisible"
    away = real.clone()
    away[:, 7] += 20
    assert float(directions(away)[:, 2].mean()) == pytest.approx(20, rel=0.05), "what leaves the directions shows in the last number"


def test_distances_equal_one_by_one() -> None:
    real = Moments.of(normal(300, 6))
    others = [Moments.of(normal(200, 6, seed=k, scale=1 + k / 10)) for k in range(3)]
    every = distances([m.mean for m in others], [m.cov for m in others], real)
    expected = [frechet_distance(m.mean, m.cov, real.mean, real.cov) for m in others]
    assert every.tolist() == pytest.approx(expected, rel=1e-9)


def test_fd_at_infinity_takes_the_bias_away() -> None:
    sizes = torch.tensor([100, 200, 400])
    assert intercept(sizes, 3 + 50 / sizes.double()) == pytest.approx(3)
    d = 16
    truth = 0.5**2 * d  # two normals, means apart by 0.5 in each coordinate
    real = Moments.of(normal(200_000, d))
    fds, infinite = [], []
    for seed in range(20):
        fake = normal(400, d, seed=10 + seed) + 0.5
        moments = Moments.of(fake)
        fds.append(frechet_distance(moments.mean, moments.cov, real.mean, real.cov))
        infinite.append(extrapolated(fake, real, seed=seed))
    assert np.mean(fds) > truth + 0.1, "the plain distance is biased upwards"
    assert abs(np.mean(infinite) - truth) < 0.5 * (np.mean(fds) - truth)
    assert math.isnan(extrapolated(normal(60, d), real)), "too few samples for a line"


# -- memorisation --------------------------------------------------------------------------------------------------------------------


def test_nearest_and_authenticity_equal_plain_loops() -> None:
    training, fake = normal(80, 5).float(), normal(50, 5, seed=1)
    d = torch.cdist(fake, training.double())
    to_training, index = nearest(fake, training)
    assert torch.equal(index, d.argmin(1))
    assert torch.allclose(to_training, d.min(1).values)
    among = torch.cdist(training.double(), training.double()).fill_diagonal_(math.inf).min(1).values
    expected = sum(float(d[i].min() > among[d[i].argmin()]) for i in range(50)) / 50
    assert authenticity(to_training, index, training) == pytest.approx(expected)


def test_mann_whitney_equals_scipy() -> None:
    a, b = normal(40, 1).flatten(), normal(60, 1, seed=1).flatten() + 0.4
    b[:5] = a[:5]  # ties count half
    u = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=False).statistic
    assert mann_whitney_z(a, b) == pytest.approx((u - 1200) / math.sqrt(40 * 60 * 101 / 12), rel=1e-9)


def test_memorisation_of_copies_strangers_and_fresh_samples() -> None:
    training, held = normal(600, 4).float(), normal(300, 4, seed=1).float()

    def figures(fake: Tensor) -> dict[str, float]:
        metric = Memorisation(training, held, len(fake))
        metric.update(Features(fake.double()))
        return metric.compute()

    copies, fresh, far = figures(training[:300] + 1e-4), figures(normal(300, 4, seed=2)), figures(normal(300, 4, seed=3) * 4)
    assert copies["authenticity"] == 0
    assert copies["copies"] == 1
    assert copies["copying"] < -5
    assert fresh["authenticity"] == pytest.approx(0.5, abs=0.15)
    assert fresh["copies"] <= 0.04
    assert abs(fresh["copying"]) < 3
    assert far["copying"] > 3
    some = fresh | figures(torch.cat([training[:30].double(), normal(270, 4, seed=2)]))
    assert some["copies"] == pytest.approx(0.1, abs=0.04), "a tenth of copies shows as a tenth"


@pytest.mark.parametrize("twins", [0, 2, 6, 60])
def test_copies_are_seen_where_held_out_pictures_are_training_pictures(twins: int) -> None:
    """Of 200 held-out pictures some stand in the training set too, their features rounded otherwise."""
    training, held = normal(1000, 16).float(), normal(200, 16, seed=1).float()
    held[:twins] = training[:twins] * (1 + 1e-7)

    def copies(fake: Tensor) -> tuple[float, str]:
        metric = Memorisation(training, held, len(fake))
        metric.update(Features(fake.double()))
        return metric.compute()["copies"], metric.settings()

    of_all, told = copies(training[:500])
    assert of_all == 1
    assert told == f"500 samples, 200 held-out{f' ({twins} of them training pictures)' if twins else ''} among 1000 training pictures"
    assert copies(training[:500] + 0.05 * normal(500, 16, seed=2).float())[0] > 0.9, "copies with a little noise"
    share = twins / 200
    perfect = torch.cat([training[500 : 500 + round(500 * share)], normal(500 - round(500 * share), 16, seed=3).float()])
    assert copies(perfect)[0] == pytest.approx(share + 0.01 * (1 - share), abs=0.02)


def test_copies_without_such_pictures_are_those_below_the_first_percentile() -> None:
    to_fake, to_held = normal(500, 1).flatten().abs(), normal(200, 1, seed=1).flatten().abs() + 0.01
    assert copied(to_fake, to_held) == (float((to_fake < to_held.quantile(0.01)).double().mean()), 0)
    assert math.isnan(copied(to_fake, torch.cat([torch.zeros(50), torch.ones(9)]).double())[0])


def test_copying_without_cells_is_one_test() -> None:
    training, held, fake = normal(200, 2).float(), normal(40, 2, seed=1).float(), normal(60, 2, seed=2)
    to_fake, to_held = nearest(fake, training)[0], nearest(held, training)[0]
    assert three_samples(fake, held, training, to_fake, to_held) == pytest.approx(mann_whitney_z(to_fake, to_held))


def test_memorisation_without_held_out_pictures() -> None:
    metric = Memorisation(normal(50, 3).float(), torch.empty(0, 3), 20)
    metric.update(Features(normal(20, 3, seed=1)))
    values = metric.compute()
    assert math.isfinite(values["authenticity"])
    assert math.isnan(values["copies"])
    assert math.isnan(values["copying"])


# -- classes -------------------------------------------------------------------------------------------------------------------------


def test_class_accuracy_by_hand() -> None:
    metric = ClassAccuracy(3, ("a", "b", "c"))
    metric.update(Features(torch.zeros(4, 1), torch.eye(3)[[0, 0, 1, 2]].double(), torch.tensor([0, 1, 1, 2])))
    assert metric.compute() == {"class_accuracy": 0.75}
    assert metric.detail() == {"by_class": {"a": 1.0, "b": 0.5, "c": 1.0}}


def test_classwise_figures_are_the_means_over_classes() -> None:
    real, fake = normal(200, 3), normal(160, 3, seed=1, scale=1.2)
    y, asked = torch.arange(200) % 2, torch.arange(160) % 2
    metric = Classwise(real, y, ("a", "b"), 160)
    metric.update(Features(fake[:100], None, asked[:100]))
    metric.update(Features(fake[100:], None, asked[100:]))
    fds, covered = [], []
    for k in range(2):
        a, b = Moments.of(fake[asked == k]), Moments.of(real[y == k])
        fds.append(frechet_distance(a.mean, a.cov, b.mean, b.cov))
        covered.append(prdc(real[y == k], fake[asked == k])["coverage"])
    assert metric.compute() == pytest.approx({"class_fd": sum(fds) / 2, "class_coverage": sum(covered) / 2}, rel=1e-9)
    k = max(range(2), key=lambda k: fds[k])
    assert metric.remark("class_fd") == f"worst class '{'ab'[k]}': {fds[k]:.4g}"
    assert metric.remark("class_coverage").startswith(f"worst class '{'ab'[covered.index(min(covered))]}': coverage 0.")
    rare = torch.cat([y, torch.tensor([2, 2])])
    named = Classwise(torch.cat([real, real[:2]]), rare, ("a", "b", "c"), 160)
    named.update(Features(fake, None, asked))
    assert named.compute() == pytest.approx(metric.compute(), rel=1e-9)
    assert named.remark("class_fd") == f"worst class '{'ab'[k]}': {fds[k]:.4g}; not judged, of 5 real samples or fewer: c"
    swapped = Classwise(real, y, ("a", "b"), 160)
    swapped.update(Features(fake[asked == 0].repeat(2, 1), None, torch.zeros(160, dtype=torch.int64)))
    lost = swapped.compute()
    assert lost["class_coverage"] < 0.6, "a class without samples is not covered"
    assert math.isnan(lost["class_fd"])
    assert swapped.remark("class_fd") == "worst class 'b': 0 samples of it, too few to judge"


def test_stacked_modes_and_kl_by_hand() -> None:
    shares = torch.tensor([0.5, 0.25, 0.25, 0.0])
    metric = StackedModes(shares)
    metric.update(Features(torch.zeros(4, 1), torch.eye(4)[[0, 0, 0, 1]].double()))
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.25)
    assert metric.compute() == pytest.approx({"stacked_modes": 2, "stacked_kl": expected})
    assert metric.compute()["stacked_kl"] == pytest.approx(stats.entropy([0.75, 0.25], [0.5, 0.25]) - 0, abs=1), "nats"


@pytest.mark.parametrize("name", ["fd_inf", "memorisation", "classwise", "class_accuracy", "modes_stacked"])
def test_states_of_two_ranks_add_up(name: str) -> None:
    real, fake = normal(120, 4), normal(100, 4, seed=1)
    p, asked = fake[:, :3].softmax(1), torch.arange(100) % 3

    def build(share: tuple[int, int] = (0, 1)) -> Metric:
        return {
            "fd_inf": lambda: Extrapolated(Moments.of(real), 100, share=share),
            "memorisation": lambda: Memorisation(real[:80].float(), real[80:].float(), 100, share=share),
            "classwise": lambda: Classwise(real, torch.arange(120) % 3, ("a", "b", "c"), 100, share=share),
            "class_accuracy": lambda: ClassAccuracy(3),
            "modes_stacked": lambda: StackedModes(torch.full((3,), 1 / 3)),
        }[name]()

    whole, joined, parts = build(), build(), []
    whole.update(Features(fake, p, asked))
    for rank in range(2):
        metric = build((rank, 2))
        metric.update(Features(fake[rank::2], p[rank::2], asked[rank::2]))
        parts.append(metric.state())
    joined.load(reduce(parts))
    assert joined.compute() == pytest.approx(whole.compute(), rel=1e-9, nan_ok=True)


# -- path length ---------------------------------------------------------------------------------------------------------------------


def probe(matrix: Tensor, latent: str = "w", dtype: torch.dtype = torch.float32) -> Probe:
    """A generator whose picture is `matrix` @ tanh(latent), 1 × H × 1."""

    def latents(n: int, y: Tensor | None, seed: int) -> Tensor:
        return torch.randn(n, matrix.shape[1], generator=torch.Generator().manual_seed(seed)).to(dtype)

    def render(x: Tensor, y: Tensor | None, seed: int) -> Tensor:
        return (x.tanh() @ matrix.T.to(x.dtype) * 20 + 127.5)[:, None, :, None]

    return Probe(latent, lambda n, seed: None, latents, render)  # type: ignore[arg-type]


def squared(a: Tensor, b: Tensor) -> Tensor:
    return (a.double() - b.double()).square().sum((1, 2, 3))


@pytest.mark.parametrize("space", [Video(frames=4, channels=1, height=8, width=8), Vector(dim=2)], ids=lambda space: space.describe())
def test_path_length_of_what_are_no_pictures_is_refused(space: Space) -> None:
    setting = Setting(SimpleNamespace(space=space), open_pixels(space), 0, Path("nowhere"), probe=probe(torch.eye(2)))
    with pytest.raises(InputError, match=f"'ppl' compares pictures, and the data are {re.escape(space.describe())}; leave it out"):
        path_length.build(setting, 100)


def test_path_length_of_a_linear_generator_is_its_slope() -> None:
    """x = A w and d the squared distance: d / ε² = ‖A (w₂ − w₁)‖² wherever t is."""
    matrix = normal(6, 3)
    linear = Probe(
        "w", lambda n, seed: None, lambda n, y, seed: torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64),
        lambda x, y, seed: (x @ matrix.T)[:, None, :, None],
    )  # fmt: skip
    found = lengths(linear, squared, 40)
    a = torch.randn(40, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    b = torch.randn(40, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert found == pytest.approx(((b - a) @ matrix.T).square().sum(1), rel=1e-6)


@pytest.mark.parametrize("latent", ["w", "z"])
def test_the_small_step_is_sound_in_float32(latent: str) -> None:
    matrix = normal(48, 8)
    single = lengths(probe(matrix, latent), squared, 100)
    double = lengths(probe(matrix, latent, torch.float64), squared, 100)
    assert trimmed_mean(single) == pytest.approx(trimmed_mean(double), rel=1e-2)
    coarse = lengths(probe(matrix, latent, torch.float64), squared, 100, epsilon=1e-3)
    assert trimmed_mean(double) == pytest.approx(trimmed_mean(coarse), rel=1e-2)


def test_slerp_walks_a_great_circle() -> None:
    a, b = normal(5, 9), normal(5, 9, seed=1)
    t = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64)
    at = slerp(a, b, t)
    assert at.norm(dim=1) == pytest.approx(torch.full((5,), 3.0).double())
    assert at[0] == pytest.approx(3 * a[0] / a[0].norm())
    assert at[4] == pytest.approx(3 * b[4] / b[4].norm())
    angle = torch.acos((a[2] @ b[2]) / a[2].norm() / b[2].norm())
    assert torch.acos(at[2] @ a[2] / a[2].norm() / 3) == pytest.approx(float(angle / 2))


def test_trimmed_mean_leaves_jumps_out() -> None:
    values = torch.ones(1000).double()
    values[:5] = 1e9
    assert trimmed_mean(values) == pytest.approx(1.0)
    assert math.isnan(trimmed_mean(torch.tensor([1.0, math.nan])))


# -- LPIPS ---------------------------------------------------------------------------------------------------------------------------


def test_lpips_gives_its_published_numbers(real_data: Path) -> None:
    """The two examples in torchmetrics' documentation of learned_perceptual_image_patch_similarity(net_type="squeeze")."""
    network = lpips.open_lpips(real_data / "weights")
    assert network is not None
    torch.manual_seed(42)
    x, y = torch.rand(10, 3, 100, 100) * 2 - 1, torch.rand(10, 3, 100, 100) * 2 - 1
    assert float(network(x, y).mean()) == pytest.approx(0.1005, abs=6e-5)
    g = torch.Generator().manual_seed(42)
    x, y = torch.rand(2, 3, 100, 100, generator=g) * 2 - 1, torch.rand(2, 3, 100, 100, generator=g) * 2 - 1
    assert network(x, y).tolist() == pytest.approx([0.1024, 0.0938], abs=6e-5)
    grey = torch.zeros(1, 1, 28, 28)
    assert float(network.bytes_distance(grey, grey)) == 0
    assert float(network.bytes_distance(grey, grey + 200)) > 0.01


def test_lpips_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lpips.VARIABLE, raising=False)
    assert lpips.open_lpips() is None
    with pytest.raises(InputError, match="is not there; AGON_LPIPS names a folder"):
        lpips.open_lpips(tmp_path)
    (tmp_path / lpips.BACKBONE).write_bytes(b"nothing")
    (tmp_path / "squeeze.pth").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as weights"):
        lpips.open_lpips(tmp_path)
    for name in (lpips.BACKBONE, "squeeze.pth"):
        torch.save({"other": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(InputError, match="are not SqueezeNet"):
        lpips.open_lpips(tmp_path)
