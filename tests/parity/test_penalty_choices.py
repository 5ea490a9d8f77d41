"""Every penalty a game can choose: closed forms on linear and quadratic players, and finite differences in float64."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from agon import losses, penalties
from agon.game import Batch, Clock, Dice, Players
from agon.props import Running
from agon.schedule import Linear
from agon.view import View

N, DIM = 6, 4
F64 = torch.float64


class Quadratic(nn.Module):
    """C(x) = ½ xᵀAx + bᵀx with A symmetric: ∇C = Ax + b."""

    def __init__(self, curved: bool = True) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(DIM, DIM, dtype=F64) * float(curved))
        self.b = nn.Parameter(torch.randn(DIM, dtype=F64))

    def gradient(self, x: Tensor) -> Tensor:
        return x @ (self.a + self.a.T) / 2 + self.b

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return 0.5 * ((x @ (self.a + self.a.T) / 2) * x).sum(1) + x @ self.b


class Smooth(nn.Module):
    """A critic without kinks, so that finite differences mean something."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(DIM, 5), nn.Tanh(), nn.Linear(5, 1)).double()
        self.decoder = nn.Linear(5, DIM).double()

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(x).squeeze(1)

    def reconstruct(self, x: Tensor, y: Tensor | None, quadrant: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        # The second drawing depends on the quadrant, so that its draw must be the same for every difference.
        drawn = self.decoder(self.body[:2](x))
        return self(x), [(drawn, x), (drawn * (1 + quadrant[:, None]), 2 * x)]


class Styled(nn.Module):
    """A generator with a linear mapping w = Mz and a synthesis that is linear (x = Sw) or bent."""

    def __init__(self, bent: bool) -> None:
        super().__init__()
        self.bent = bent
        self.m = nn.Parameter(torch.randn(3, 2, dtype=F64))
        self.s = nn.Parameter(torch.randn(DIM, 3, dtype=F64))

    def mapping(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z.double() @ self.m.T

    def synthesis(self, w: Tensor) -> Tensor:
        x = w @ self.s.T
        return x.tanh() if self.bent else x

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.synthesis(self.mapping(z))


def view_of(
    critic: nn.Module, generator: nn.Module | None = None, *, slopes: tuple[str, ...] = (), joint: bool = True, **props: nn.Module
) -> View:
    """A turn on fixed points and fixed noise."""
    generator = generator or Styled(bent=False)
    p = Players({"G": generator, "D": critic, **props})
    p.dice = Dice(7, 0, N, N, torch.device("cpu"))
    points = torch.Generator().manual_seed(3)
    x, fake = (torch.randn(N, DIM, generator=points, dtype=F64) for _ in range(2))
    return View(p, Batch(x=x), Clock(10, 50), lambda: fake, lambda: p.randn(N, 2).double(), sloped=slopes, joint=joint)  # type: ignore[arg-type]


def filled(values: list[float] | float) -> Running:
    """A running mean that stands at these values."""
    mean = Running(torch.tensor(values).shape).double()
    mean.update(torch.tensor(values, dtype=F64))
    return mean


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_r1_and_r2_on_a_quadratic_critic() -> None:
    critic = Quadratic()
    for joint in (True, False):
        view = view_of(critic, slopes=("real", "fake"), joint=joint)
        r1, r2 = penalties.R1(gamma=3.0).term(view), penalties.R2(gamma=0.5).term(view)
        assert float(r1) == pytest.approx(1.5 * float(critic.gradient(view.x).square().sum(1).mean()), abs=1e-10)
        assert float(r2) == pytest.approx(0.25 * float(critic.gradient(view.fake).square().sum(1).mean()), abs=1e-10)
        torch.testing.assert_close(view.logits("real"), critic(view.x))
        torch.testing.assert_close(view.logits("fake"), critic(view.fake))


def test_weights_follow_their_schedule() -> None:
    critic = Quadratic(curved=False)
    view = view_of(critic, slopes=("real",))
    squares = float(critic.b.square().sum())
    assert float(penalties.R1(gamma=Linear(start=4, end=0, span=100)).term(view)) == pytest.approx(squares, abs=1e-10)  # 2 at half the span


def test_one_centred_penalties_on_a_linear_critic() -> None:
    critic = Quadratic(curved=False)
    norm = float(critic.b.norm())
    for penalty in (penalties.GradientPenalty(), penalties.DRAGAN()):
        assert float(penalty.term(view_of(critic))) == pytest.approx(10 * (norm - 1) ** 2, abs=1e-9)
    assert float(penalties.GradientPenalty(weight=2, target=norm).term(view_of(critic))) == pytest.approx(0, abs=1e-12)


def test_where_the_one_centred_penalties_look() -> None:
    """On ½‖x‖² the slope is the point itself, so the penalty tells where it was taken."""
    critic = Quadratic()
    with torch.no_grad():
        critic.a.copy_(torch.eye(DIM))
        critic.b.zero_()
    view, again = view_of(critic), view_of(critic)
    mix = again.p.rand(N)
    points = penalties.interpolate(again.x, again.fake, mix)
    assert float(penalties.GradientPenalty().term(view)) == pytest.approx(10 * float((points.norm(dim=1) - 1).square().mean()), abs=1e-6)
    view, again = view_of(critic), view_of(critic)
    points = again.x + 0.5 * again.p.randn(N, DIM)
    assert float(penalties.DRAGAN(spread=0.5).term(view)) == pytest.approx(10 * float((points.norm(dim=1) - 1).square().mean()), abs=1e-6)


def test_clipping_clamps_every_weight() -> None:
    view = view_of(Quadratic())
    with torch.no_grad():
        penalties.WeightClip(bound=0.02).step(view.p, view.real, view.t)
    assert max(float(w.abs().max()) for w in view.p.D.parameters()) == pytest.approx(0.02)


def test_lecam_by_hand() -> None:
    critic, anchors = Quadratic(), filled([1.5, -0.5])
    view = view_of(critic, lecam=anchors)
    real, fake = critic(view.x), critic(view.fake)
    expected = 0.3 * ((real + 0.5).square().mean() + (fake - 1.5).square().mean())
    assert float(penalties.LeCam().term(view)) == pytest.approx(float(expected), rel=1e-6)
    penalties.LeCam().step(view.p, view.real, view.t)
    weight = 0.01 * 0.99 + 0.01  # two updates of a mean with decay 0.99, the first of them `filled`
    by_hand = [(0.01 * 0.99 * old + 0.01 * float(new.mean())) / weight for old, new in ((1.5, real), (-0.5, fake))]
    assert anchors.value.tolist() == pytest.approx(by_hand, rel=1e-5)


def test_path_length_of_a_linear_generator() -> None:
    """x = Sw has the Jacobian S everywhere, so each length is ‖Sᵀy‖ (vectors are not scaled by a picture's size)."""
    generator, path = Styled(bent=False), filled(2.0)
    view, again = view_of(Quadratic(), generator, path=path), view_of(Quadratic(), generator, path=path)
    again.latents()
    lengths = (again.p.randn(N, DIM).double() @ generator.s).norm(dim=1)
    assert float(penalties.PathLength().term(view)) == pytest.approx(2 * float((lengths - 2).square().mean()), rel=1e-6)
    assert float(view.real["path"]) == pytest.approx(float(lengths.mean()), rel=1e-6)


def test_path_length_of_pictures_does_not_depend_on_their_size() -> None:
    noise = torch.ones(2, 1, 4, 8)
    lengths = penalties.path_lengths(lambda w: w[:, :, None, None].expand(-1, -1, 4, 8), torch.zeros(2, 1), noise)
    assert lengths.tolist() == pytest.approx([32 / math.sqrt(32)] * 2)


def test_orthogonal_by_hand() -> None:
    generator = nn.Linear(2, 3).double()
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]], dtype=F64)
    with torch.no_grad():
        generator.weight.copy_(rows)
    assert float(penalties.off_diagonal(rows)) == 2 * (0 + 3.0**2 + 2.0**2)
    view = view_of(Quadratic(), nn.Sequential(generator, nn.Embedding(3, 3).double()))
    assert float(penalties.Orthogonal(weight=0.5).term(view)) == pytest.approx(13.0)
    assert float(penalties.off_diagonal(torch.eye(4))) == 0
    assert penalties.Orthogonal(player="D").player == "D"


class Drawing(Quadratic):
    """A critic whose drawings are a learnt multiple of what it saw, and of a constant."""

    def reconstruct(self, x: Tensor, y: Tensor | None, quadrant: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        assert quadrant.shape == (len(x),)
        return self(x), [(self.b * x, x), (self.a[0] * torch.ones_like(x), 2 * x)]


def test_reconstruction_by_hand() -> None:
    critic = Drawing()
    view = view_of(critic)
    expected = (critic.b * view.x - view.x).abs().mean() + (critic.a[0] - 2 * view.x).abs().mean()
    assert float(penalties.Reconstruction(weight=3).term(view)) == pytest.approx(3 * float(expected), rel=1e-9)


KINDS = {choice.__dataclass_fields__["kind"].default: choice for choice in get_args(penalties.AnyPenalty)}
TERMS: dict[str, Callable[[], tuple[penalties.Penalty, dict[str, nn.Module]]]] = {
    "r1": lambda: (penalties.R1(), {}),
    "r2": lambda: (penalties.R2(), {}),
    "gradient-penalty": lambda: (penalties.GradientPenalty(), {}),
    "dragan": lambda: (penalties.DRAGAN(), {}),
    "lecam": lambda: (penalties.LeCam(), {"lecam": filled([0.7, -0.2])}),
    "path-length": lambda: (penalties.PathLength(), {"path": filled(1.0)}),
    "orthogonal": lambda: (penalties.Orthogonal(weight=0.1), {}),
    "reconstruction": lambda: (penalties.Reconstruction(), {}),
}
# A new penalty takes part without a row, unless it keeps state (`props`), which its row makes.
TERMS |= {kind: lambda make=make: (make(), {}) for kind, make in KINDS.items() if make.terms and kind not in TERMS}


def test_penalties_without_a_term_are_checked_by_hand() -> None:
    assert {kind for kind, choice in KINDS.items() if not choice.terms} == {"clip", "spectral"}


@pytest.mark.parametrize("name", TERMS)
def test_parameter_gradients_match_finite_differences(name: str) -> None:
    """The whole loss, adversarial term and penalty through its double backward, along random directions in weight space."""
    penalty, props = TERMS[name]()
    critic, generator = Smooth(), Styled(bent=True)
    moved = critic if penalty.player == "D" else generator

    def loss() -> Tensor:
        view = view_of(critic, generator, slopes=penalty.slopes, **props)
        if penalty.player == "D":
            return losses.Relativistic().critic(view.logits("real"), view.logits("fake")) + penalty.term(view)
        return losses.Logistic().generator(None, critic(generator(view.latents()))) + penalty.term(view)

    parameters = list(moved.parameters())
    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True)  # only `reconstruction` asks the decoder
    for _ in range(4):
        direction = [torch.randn_like(w) for w in parameters]
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True) if g is not None)
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                for w, d in zip(parameters, direction, strict=True):
                    w.add_(d, alpha=step)
                values.append(float(loss()))
                for w, d in zip(parameters, direction, strict=True):
                    w.sub_(d, alpha=step)
        assert slope == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6, abs=1e-7)


def test_spectral_normalisation_against_exact_singular_values() -> None:
    """A bound critic is the one whose maps are divided by their largest singular values, and its gradients are those of that division."""
    plain, x = Smooth(), torch.randn(N, DIM, dtype=F64)
    bound = copy.deepcopy(plain)
    penalties.SpectralNorm().bind(bound)
    weights = [plain.body[0].weight, plain.body[2].weight]  # type: ignore[union-attr]

    def exact() -> Tensor:
        first, last = (w / torch.linalg.matrix_norm(w, 2) for w in weights)  # type: ignore[arg-type]
        hidden = torch.tanh(x @ first.T + plain.body[0].bias)  # type: ignore[operator, union-attr]
        return (hidden @ last.T + plain.body[2].bias).squeeze(1)  # type: ignore[operator, union-attr]

    originals = [layer.parametrizations.weight.original for layer in (bound.body[0], bound.body[2])]  # type: ignore[union-attr]
    for _ in range(200):  # an iteration for each new value: the vectors are let settle while the weights hardly move
        with torch.no_grad():
            for w in originals:
                w.mul_(1 + 1e-14)  # type: ignore[operator]
        bound(x)
    torch.testing.assert_close(bound(x), exact(), rtol=1e-8, atol=1e-8)
    for got, want in zip(
        torch.autograd.grad(bound(x).square().sum(), originals), torch.autograd.grad(exact().square().sum(), weights), strict=True
    ):
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-7)
