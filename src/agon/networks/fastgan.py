"""FastGAN: skip-layer excitation and a critic that must be able to redraw what it saw; for few images.

Liu et al. 2021, "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis", arXiv:2101.04775.

  sec. 3.1  a small grid gates the channels of a large one: y = F(x_low) · x_high                  -> _Excite
  fig. 3    G: gated linear units, plain and double up-blocks in turn                              -> _Generator
  sec. 3.2  D's features decode to the picture and to a quarter of it                              -> _Critic.reconstruct
  sec. 3.2  hinge loss plus the distance between pictures and what the decoders draw               -> a term of the game

`reconstruct(x, y, quadrant)` gives the logits and pairs (reconstruction, target), both at half the picture's size; show it real pictures only.
`FastGAN.paper()` has the widths of the authors' code, which was published with the paper and has since been withdrawn; only G's batch norm remains
of its norms in D by default, so that D does not couple samples (`critic_norm="batch"` brings them back).

*Differs*: no noise in G, a network draws nothing; G gives one picture, not a second small one; the logits of D's patches are pooled into one
before the head; the distance is the game's (the paper's is LPIPS), and so is the
hinge, with margins of 1 as in the paper (the authors' code draws each between 0.8 and 1); lean widths; any height and width.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.critic import Critic, image_shape
from agon.layers.init import dcgan_
from agon.layers.labels import Head, JoinLabel
from agon.layers.resample import even, halvings, mean_down, pyramid, repeat_conv, stage_widths
from agon.layers.spectral import spectral_
from agon.spaces import Space

_SLOPE = 0.2


@dataclass(frozen=True, kw_only=True)
class FastGAN:
    """Generator with skip-layer excitation, critic with decoders; see the module's text."""

    widths: tuple[int, ...] = (128, 64, 32, 16)  # of G, from the smallest grid to the full one; then halved each time, down to 16
    critic_widths: tuple[int, ...] = (64, 32)  # of D, from its smallest grid to the half-size one; then halved each time, down to 16
    critic_grid: int = 8  # D halves the picture until its shorter side is about this
    leap: int = 4  # levels between a gating grid and the gated one, fewer where the picture has fewer
    critic_norm: Literal["none", "batch"] = "none"  # besides spectral normalisation
    label_dim: int = 32  # size of the condition's embedding joined to z
    kind: Literal["fastgan"] = "fastgan"
    spectral: ClassVar[bool] = True  # spectral normalisation bounds the critic's slope
    draws: ClassVar[bool] = True  # the critic can redraw what it saw

    @classmethod
    def paper(cls) -> FastGAN:
        """The authors' widths; play it with a latent of 256."""
        return cls(widths=(1024, 512, 256, 128, 128, 64, 32, 16), critic_widths=(512, 256, 128, 128, 64, 32), critic_norm="batch")

    def generator(self, z_dim: int, space: Space) -> nn.Module:
        return _Generator(self, z_dim, space)

    def critic(self, space: Space, head: Head = "projection") -> nn.Module:
        return _Critic(self, space, head)

    @property
    def couples_samples(self) -> bool:
        """Batch normalisation makes a logit depend on the other samples of its batch."""
        return self.critic_norm == "batch"


class _Excite(nn.Module):
    """Features of the smallest grid [n, a, *grid] → gates [n, b, 1, 1] in (0, 1)."""

    def __init__(self, a: int, b: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.gather, self.gate = nn.Conv2d(a, b, grid, bias=False), nn.Conv2d(b, b, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(F.silu(self.gather(x))).sigmoid()


class _Up(nn.Module):
    """Repeat pixels, convolve, normalise, gated linear unit; `double`: once more without resampling."""

    def __init__(self, a: int, b: int, *, double: bool = False, norm: bool = True) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(a, 2 * b, 3, padding=1, bias=not norm), nn.BatchNorm2d(2 * b) if norm else nn.Identity()
        self.again = (
            nn.Sequential(nn.Conv2d(b, 2 * b, 3, padding=1, bias=False), nn.BatchNorm2d(2 * b), nn.GLU(1)) if double else nn.Identity()
        )

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return self.again(F.glu(self.norm1(repeat_conv(x, self.conv1.weight, self.conv1.bias, size)), 1))


class _Generator(nn.Module):
    def __init__(self, net: FastGAN, z_dim: int, space: Space) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.sizes = pyramid(height, width, halvings(height, width))
        widths = stage_widths(net.widths, len(self.sizes))
        self.join = JoinLabel(space, net.label_dim)
        self.base = (2 * widths[0], *self.sizes[0])
        self.project = nn.Linear(z_dim + self.join.extra, 2 * widths[0] * self.sizes[0][0] * self.sizes[0][1], bias=False)
        self.norm = nn.BatchNorm2d(2 * widths[0])
        self.ups = nn.ModuleList(_Up(a, b, double=not i % 2) for i, (a, b) in enumerate(itertools.pairwise(widths)))
        self.leap = min(net.leap, len(widths) - 1)
        gated = range(self.leap, len(widths)) if self.leap else range(0)
        self.excite = nn.ModuleList(_Excite(widths[i - self.leap], widths[i], self.sizes[0]) for i in gated)
        self.out = nn.Conv2d(widths[-1], channels, 3, padding=1)
        dcgan_(self)
        nn.init.normal_(self.project.weight, 0.0, 0.02)
        spectral_(self, embeddings=False, leave=(JoinLabel,))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = F.glu(self.norm(self.project(self.join(z, y)).reshape(-1, *self.base)), 1)
        grids = [h]
        for index, (up, size) in enumerate(zip(self.ups, self.sizes[1:], strict=True), start=1):
            h = up(h, size)
            if index >= self.leap:
                source = grids[index - self.leap]
                for _ in range(index - self.leap):
                    source = mean_down(source)
                h = h * self.excite[index - self.leap](source)
            grids.append(h)
        return self.out(h).tanh()


class _Down(nn.Module):
    """Mean of (4x4 stride-2 convolution, then 3x3) and (averaging, then 1x1), each with LeakyReLU 0.2."""

    def __init__(self, a: int, b: int, norm: bool) -> None:
        super().__init__()

        def step(sources: int, size: int, stride: int, padding: int) -> list[nn.Module]:
            conv = nn.Conv2d(sources, b, size, stride, padding, bias=not norm)
            return [conv, nn.BatchNorm2d(b) if norm else nn.Identity(), nn.LeakyReLU(_SLOPE)]

        self.main = nn.Sequential(*step(a, 4, 2, 1), *step(b, 3, 1, 1))
        self.direct = nn.Sequential(*step(a, 1, 1, 0))

    def forward(self, x: Tensor) -> Tensor:
        x = even(x)
        return (self.main(x) + self.direct(F.avg_pool2d(x, 2))) / 2


class _Body(nn.Module):
    """x [n, c, h, w] → pooled features [n, width]; `grids` gives the last two feature maps as well."""

    def __init__(self, net: FastGAN, channels: int, height: int, width: int) -> None:
        super().__init__()
        levels = max(1, halvings(height, width, net.critic_grid))
        grid = pyramid(height, width, levels)[0]
        widths = stage_widths(net.critic_widths, levels)[::-1]
        norm = net.critic_norm == "batch"
        self.into = nn.Conv2d(channels, widths[0], 4, 2, 1, bias=False)
        self.downs = nn.ModuleList(_Down(a, b, norm) for a, b in itertools.pairwise(widths))
        self.read = nn.Conv2d(widths[-1], widths[-1], 1)
        self.patch = nn.Conv2d(widths[-1], widths[-1], (min(4, grid[0]), min(4, grid[1])))
        self.widths, self.width = widths, widths[-1]

    def grids(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        h = F.leaky_relu(self.into(even(x)), _SLOPE)
        maps = [h]
        for down in self.downs:
            maps.append(down(maps[-1]))
        h = F.leaky_relu(self.patch(F.leaky_relu(self.read(maps[-1]), _SLOPE)), _SLOPE)
        return h.sum((2, 3)), maps[-2:]

    def forward(self, x: Tensor) -> Tensor:
        return self.grids(x)[0]


class _Decoder(nn.Module):
    """Features [n, a, *sizes[0]] → a picture [n, channels, *sizes[-1]] in [-1, 1]."""

    def __init__(self, a: int, channels: int, sizes: list[tuple[int, int]], norm: bool) -> None:
        super().__init__()
        self.sizes = sizes
        widths = [a, *(max(8, a >> k) for k in range(1, len(sizes)))]
        self.ups = nn.ModuleList(_Up(a, b, norm=norm) for a, b in itertools.pairwise(widths))
        self.out = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        for up, size in zip(self.ups, self.sizes[1:], strict=True):
            h = up(h, size)
        return self.out(h).tanh()


class _Critic(nn.Module):
    def __init__(self, net: FastGAN, space: Space, head: Head) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.critic = Critic(lambda *shape: _Body(net, *shape), space, head)
        body = self.critic.body
        assert isinstance(body, _Body)
        widths = body.widths
        levels = max(1, halvings(height, width, net.critic_grid))
        sizes = pyramid(height, width, levels)[:-1]
        norm = net.critic_norm == "batch"
        self.whole = _Decoder(widths[-1], channels, sizes, norm)
        self.part = _Decoder(widths[-2], channels, sizes, norm) if len(widths) > 1 else None
        dcgan_(self)
        spectral_(self, embeddings=True)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the last layer judges [n, d]."""
        return self.critic.features(x, y)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.critic(x, y)

    def classify(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(logits [n], guesses of the condition [n, k])."""
        return self.critic.classify(x)

    def reconstruct(self, x: Tensor, y: Tensor | None = None, quadrant: Tensor | None = None) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Logits [n] of x and pairs (reconstruction, target), each [n, c, ⌈h/2⌉, ⌈w/2⌉], from one forward pass.

        The first pair is the whole picture. quadrant: int64 [n] in 0..3 (top left, top right, bottom left, bottom right) asks for a second
        pair, that quarter of the picture at full resolution; the draw is the caller's, as in `p.randint(4, n)`.
        """
        body = self.critic.body
        assert isinstance(body, _Body)
        features, maps = body.grids(self.critic.planes(x, y))
        pairs = [(self.whole(maps[-1]), mean_down(x))]
        if quadrant is not None and self.part is not None:
            half = mean_down(x).shape[-2:]
            pairs.append((self.part(_quarter(maps[-2], quadrant, self.part.sizes[0])), _quarter(x, quadrant, (half[0], half[1]))))
        return self.critic.head(features, y), pairs


def _quarter(x: Tensor, quadrant: Tensor, size: tuple[int, int]) -> Tensor:
    """Of each sample the corner of `size` that its quadrant names."""
    rows = torch.where((quadrant >= 2)[:, None, None, None], x[:, :, x.shape[2] - size[0] :], x[:, :, : size[0]])
    return torch.where((quadrant % 2 == 1)[:, None, None, None], rows[..., rows.shape[3] - size[1] :], rows[..., : size[1]])
