"""Projection: the code whose picture comes nearest to a given one, with the error that remains.

Abdal et al. 2019, "Image2StyleGAN", arXiv:1904.03189 (pixels and features); Karras et al. 2020, arXiv:1912.04958, appendix D (statistics
of w, learning rate raised over the first 5 % and lowered over the last 25 % of the steps).

    loss(c) = mean (G(c) - x)² / 4  +  λ_p · perceptual(G(c), x)  +  λ · relu(‖c - c̄‖² / E‖c - c̄‖² - 1)²

The last term lets a code move freely within the distance codes usually have from their mean, and holds it back beyond. The best of many random
codes are the starts, and where the class is not given they come from every class. Adam (arXiv:1412.6980) is written out here: a code is no
player, and nothing of the game is moved. Every picture is projected by itself, so its result does not depend on the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agon.errors import InputError
from agon.game import mix
from agon.latent.codes import Codes, joined
from agon.latent.view import Latents, centre_of

Perceptual = Callable[[Tensor, Tensor], Tensor]  # (x, target) [n, *shape] in the players' range -> distance [n], differentiable
MANY_CLASSES = 64  # above, a class is not searched for but drawn


@dataclass(frozen=True)
class Projection:
    """Codes [n], what they show (stored form [n, …]) and how far that is from the targets.

    mse: [n], of values in [0, 1] after rounding to bytes; psnr: [n], 10 log₁₀(1 / mse) in dB; random_mse: [n], of the best random code, where the
    search began; perceptual: [n] or None.
    """

    codes: Codes
    shown: Tensor
    target: Tensor
    mse: Tensor
    random_mse: Tensor
    perceptual: Tensor | None = None

    @property
    def psnr(self) -> Tensor:
        return -10 * self.mse.clamp(min=1e-10).log10()

    def to_json(self) -> list[dict[str, float]]:
        """The errors of each picture."""
        rows = [
            {"mse": float(m), "psnr": float(p), "random_mse": float(r)}
            for m, p, r in zip(self.mse, self.psnr, self.random_mse, strict=True)
        ]
        if self.perceptual is not None:
            for row, value in zip(rows, self.perceptual, strict=True):
                row["lpips"] = float(value)
        return rows


def project(
    latents: Latents, target: Tensor, *, steps: int = 300, starts: int = 4, candidates: int = 512, lr: float = 0.1, prior: float = 0.01,
    label: Any = None, per_layer: bool = False, perceptual: Perceptual | None = None, perceptual_weight: float = 0.1, seed: int = 0,
) -> Projection:  # fmt: skip
    """Codes for target pictures, uint8 [n, C, H, W] (or float points [n, d]).

    lr: in standard deviations of a code a step. per_layer: each layer of w moves for itself (W+, arXiv:1904.03189): nearer, less editable.
    Raises InputError for pictures of another shape and for numbers out of range.
    """
    for name, value, low in (("steps", steps, 0), ("starts", starts, 1), ("candidates", candidates, 1)):
        if value < low:
            raise InputError(f"--{name} is {value}; expected {low} or more.")
    if tuple(target.shape[1:]) != tuple(latents.space.shape) or not len(target):
        raise InputError(
            f"the picture has shape {list(target.shape[1:])}; this run makes {list(latents.space.shape)}. Resize it as the run's data were."
        )
    if per_layer and latents.kind != "w":
        raise InputError("--per-layer needs the mapped latent w; this generator has only z. Leave it out.")
    was = [module for _, module in latents.players.items() if module.training]
    for module in was:
        module.eval()
    parts = []
    try:
        for one in target:
            goal = latents.space.normalise(one[None].to(latents.players.device))
            start = _starts(latents, goal, starts, max(candidates, starts), label, seed)
            parts.append(_descend(latents, goal, start, steps, lr, prior, per_layer, perceptual, perceptual_weight, seed))
    finally:
        for module in was:
            module.train()
    codes = joined([code for code, _ in parts])
    shown = torch.cat([latents.stored(codes[i], seed=seed) for i in range(len(codes))])
    far = None
    if perceptual is not None:
        with torch.no_grad():
            device = latents.players.device
            far = perceptual(latents.space.normalise(shown.to(device)), latents.space.normalise(target.to(device))).cpu()
    unit = (latents.space.normalise(shown) - latents.space.normalise(target.cpu())) / 2
    return Projection(codes, shown, target.cpu(), unit.square().flatten(1).mean(1), torch.tensor([e for _, e in parts]), far)


def _starts(latents: Latents, goal: Tensor, starts: int, candidates: int, label: Any, seed: int) -> Codes:
    """The best of many random codes by squared error, different ones."""
    classes = latents.space.num_classes
    if label is None and 2 <= classes <= MANY_CLASSES:
        each = max(2, candidates // classes)
        codes = joined([latents.draw(each, seed=mix(seed, 19, k), label=k) for k in range(classes)])
    else:
        codes = latents.draw(candidates, seed=mix(seed, 19), label=label)
    errors = []
    with torch.no_grad():
        for low in range(0, len(codes), 64):
            x = _painted(latents, codes[low : low + 64], seed)
            errors.append((x - goal).square().flatten(1).mean(1).cpu() / 4)
    error = torch.cat(errors)
    return codes[error.nan_to_num(math.inf).argsort(stable=True)[:starts]]


def _painted(latents: Latents, codes: Codes, seed: int) -> Tensor:
    """What codes show, with the same noise every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, 0))
        return latents.forward(codes).float()


def _descend(
    latents: Latents, goal: Tensor, codes: Codes, steps: int, lr: float, prior: float, per_layer: bool, perceptual: Perceptual | None,
    perceptual_weight: float, seed: int,
) -> tuple[Codes, float]:  # fmt: skip
    """Adam on all starts at once; the best code and the error of the best start."""
    device = latents.players.device
    codes = codes.moved(latents.layered(codes).clone() if per_layer else codes.at)
    per_code = [latents.centre(None if codes.y is None or codes.y.dim() > 1 else codes.y[i : i + 1]) for i in range(len(codes))]
    centre = centre_of(codes.at, torch.stack([mean for mean, _ in per_code])).to(device)
    usual = torch.tensor([square for _, square in per_code], device=device).clamp(min=1e-12)
    size = (usual / math.prod(latents.shape)).sqrt().reshape(-1, *[1] * (codes.at.dim() - 1))
    if latents.kind == "z":
        free = latents.free().to(device)
    else:
        free = torch.ones((), dtype=torch.bool, device=device)

    def loss(at: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        x = _painted(latents, codes.moved(at), seed)
        pixel = (x - goal).square().flatten(1).mean(1) / 4
        distance = (at - centre).square()
        distance = distance.sum(-1).mean(-1) if distance.dim() == 3 and latents.kind == "w" else distance.flatten(1).sum(1)
        fit = pixel if perceptual is None else pixel + perceptual_weight * perceptual(x, goal.expand_as(x))
        whole = fit + prior * torch.relu(distance / usual - 1).square()
        return whole.sum(), (whole.detach(), pixel.detach())

    at = codes.at.to(device)
    best_at, best, first = at, torch.full((len(at),), math.inf, device=device), math.inf
    m, v = torch.zeros_like(at), torch.zeros_like(at)
    with torch.no_grad():  # the weights need no gradients; torch.func differentiates in the code alone
        for step in range(steps + 1):
            gradient, (_, (whole, pixel)) = torch.func.grad_and_value(loss, has_aux=True)(at)
            if step == 0:
                first = float(pixel.min())
            better = whole < best
            best = torch.where(better, whole, best)
            best_at = torch.where(better.reshape(-1, *[1] * (at.dim() - 1)), at, best_at)
            if step == steps:
                break
            gradient = torch.where(free, gradient, 0.0)
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient.square()
            unit = (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-10)
            at = at - lr * size * ramp(step / max(1, steps)) * unit
    k = int(best.argmin())
    return codes.moved(best_at.cpu())[k], first


def lpips_for(latents: Latents) -> Perceptual | None:
    """LPIPS as the perceptual distance for this run's pictures, where its weights are given (AGON_LPIPS); small pictures are enlarged."""
    from agon.metrics.lpips import enlarged, open_lpips

    found = open_lpips()
    if found is None or len(latents.space.shape) != 3:
        return None
    distance = found.to(latents.players.device)

    def perceptual(x: Tensor, y: Tensor) -> Tensor:
        colour = [p.expand(-1, 3, -1, -1) if p.shape[1] == 1 else p[:, :3] for p in (x, y)]
        return distance(enlarged(colour[0]), enlarged(colour[1]))

    return perceptual


def ramp(t: float, up: float = 0.05, down: float = 0.25) -> float:
    """The factor on the learning rate at t in [0, 1): linear up, then 1, then half a cosine down (arXiv:1912.04958, appendix D)."""
    return min(1.0, (t + 0.01) / up) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / down)))
