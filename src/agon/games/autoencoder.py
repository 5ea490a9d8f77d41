"""Deterministic autoencoder that samples: plain reconstruction, and a Gaussian fitted to the codes afterwards.

Ghosh, Sajjadi, Vergari, Black, Schölkopf 2020, "From Variational to Deterministic Autoencoders", arXiv:1903.12436.

Equations:
  sec. 3     ‖x - D(E(x))‖² + β ½ ‖z‖² + λ ‖θ_D‖²  (RAE-L2)        -> reconstruct: "reconstruction", "code", "decay"
  sec. 4     ex-post density: z ~ N(μ, Σ) fitted to the codes       -> Sampler.take_in, Sampler.refresh

Differs: one Gaussian a class (one in all without classes) instead of a mixture of ten; its moments are sums over the codes of training,
forgotten with a half-life, so that there is no second pass over the data and a resumed run goes on with them. The Gaussian is the first
layer of G, which so maps standard normal latents to samples: z → μ + L z → decoder, L Lᵀ = Σ. Terms are means over values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from agon.game import Batch, Clock, Game, Players, Terms, Turn, label_of, needs_pictures
from agon.networks.codec import Codec, FlatCodec
from agon.optim import Adam, Average
from agon.spaces import Space


@dataclass(frozen=True, kw_only=True)
class Autoencoder(Game):
    """Regularised autoencoder with an ex-post Gaussian."""

    critics: ClassVar[tuple[str, ...]] = ()
    conditional: bool = True  # type: ignore[misc]  # False: play without labels even where the data have them
    z_dim: int = 32  # dimension of the codes
    beta: float = 1e-4  # weight of the codes' squared length: keeps them near the origin
    decay: float = 1e-6  # weight of the decoder's squared weights: keeps it smooth between codes
    memory: float = 0.99  # share of the codes' moments kept from round to round
    net: Codec | FlatCodec = field(default_factory=Codec)
    optim: Mapping[str, Adam] = field(default_factory=lambda: {k: Adam(lr=1e-3, betas=(0.9, 0.99)) for k in "EG"})
    ema: Mapping[str, Average] = field(default_factory=dict)

    def why_not(self, space: Space) -> str | None:
        return needs_pictures(self.net, space, "flat-codec")

    def players(self, space: Space) -> dict[str, nn.Module]:
        return {"E": self.net.encoder(self.z_dim, space), "G": Sampler(self.net.decoder(self.z_dim, space), self.z_dim, space.num_classes)}

    def turns(self) -> list[Turn]:
        return [Turn(self.reconstruct, ("E", "G")), Turn(step=self.fit, name="fit")]

    def reconstruct(self, p: Players, real: Batch, t: Clock) -> Terms:
        x, y = real["x"], label_of(real)
        codes = p.E(x, y)
        squares = torch.stack([w.square().sum() for w in p.G.parameters() if w.dim() > 1]).sum()
        return {
            "reconstruction": (x - p.G.decode(codes, y)).square().mean(),  # type: ignore[operator]
            "code": self.beta / 2 * codes.square().sum(1).mean(),
            "decay": self.decay * squares,
        }

    def fit(self, p: Players, real: Batch, t: Clock) -> None:
        p.G.refresh()  # type: ignore[operator]
        parts = 1.0 if p.dice is None else p.dice.total / p.dice.width  # the mean over microbatches and ranks is then the sum over all
        p.G.take_in(p.E(real["x"], label_of(real)), label_of(real), self.memory, parts)  # type: ignore[operator]

    def latents(self, p: Players, n: int) -> Tensor:
        return p.randn(n, self.z_dim)

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(self.latents(p, n) if z is None else z, label_of(given))


class Sampler(nn.Module):
    """Standard normal z [n, d] and y → samples, through the Gaussian of the codes. Its moments are buffers: saved, and equal on all ranks.

    The moments are plain sums, so that microbatches and ranks add up to the whole batch; `refresh` makes μ and L of those the ranks agreed
    on after the round before, so that every rank samples alike.
    """

    count: Tensor
    first: Tensor
    second: Tensor
    mean: Tensor
    factor: Tensor

    def __init__(self, decode: nn.Module, z_dim: int, num_classes: int) -> None:
        super().__init__()
        self.decode = decode
        k = max(1, num_classes)
        self.register_buffer("count", torch.zeros(k))
        self.register_buffer("first", torch.zeros(k, z_dim))
        self.register_buffer("second", torch.zeros(k, z_dim, z_dim))
        self.register_buffer("mean", torch.zeros(k, z_dim))
        self.register_buffer("factor", torch.eye(z_dim).repeat(k, 1, 1))

    @torch.no_grad()
    def take_in(self, codes: Tensor, y: Tensor | None, memory: float, parts: float = 1.0) -> None:
        """Add codes [n, d] of classes y to the moments, `parts` times: as many as such batches make the whole one."""
        codes = codes.float()
        whose = (
            nn.functional.one_hot(y, len(self.count)).float() if y is not None and len(self.count) > 1 else codes.new_ones(len(codes), 1)
        )
        self.count.mul_(memory).add_(whose.sum(0), alpha=parts)
        self.first.mul_(memory).add_(whose.T @ codes, alpha=parts)
        self.second.mul_(memory).add_(torch.einsum("nk,ni,nj->kij", whose, codes, codes), alpha=parts)

    @torch.no_grad()
    def refresh(self) -> None:
        """Make μ and L of the moments: Σ of a class is that of its codes and of as many more as there are dimensions, which spread about it as the
        codes of all classes do about their own means. A class that was never seen lies at the mean of all."""
        total = self.count.sum().clamp_min(1e-6)
        count = self.count.clamp_min(1e-6)[:, None]
        mean = torch.where(self.count[:, None] > 1e-3, self.first / count, self.first.sum(0) / total)
        own = self.second / count[:, :, None] - mean[:, :, None] * mean[:, None, :]
        pooled = (self.count[:, None, None] * own).sum(0) / total
        dim = pooled.shape[0]
        trust = (self.count / (self.count + dim))[:, None, None]
        covariance = trust * own + (1 - trust) * pooled
        ridge = (1e-4 * covariance.diagonal(dim1=1, dim2=2).mean(1) + 1e-8)[:, None, None] * torch.eye(dim, device=covariance.device)
        factor, wrong = torch.linalg.cholesky_ex(covariance + ridge)
        enough = total >= 2  # stays on the device, as `wrong` does: nothing waits for it
        good = enough & (wrong == 0)[:, None, None]
        self.factor.copy_(torch.where(good, factor, self.factor))
        self.mean.copy_(torch.where(enough, mean, self.mean))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if y is None or len(self.count) == 1:
            code = self.mean[0] + z @ self.factor[0].T
        else:
            code = self.mean[y] + (self.factor[y] @ z[:, :, None])[:, :, 0]
        return self.decode(code, y)
