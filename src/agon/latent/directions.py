"""Directions of a latent space along which pictures change in one way: found in closed form, by principal components, or from two groups.

    SeFa        Shen & Zhou 2021, arXiv:2007.06600: eigenvectors of AᵀA, A the affine weights that first read the latent
    GANSpace    Härkönen et al. 2020, arXiv:2004.02546, section 2.1 (w) and 2.2 (z): principal components of w, or of the activations
                behind the first layer, brought back to z by least squares
    difference  the difference of two groups' mean codes

*Differs.* A is measured, not looked up by name: every layer that takes latent coordinates as they are is asked what it makes of zero and of the
unit vectors, so any network works, whatever its layers are called. SeFa's eigenvectors are of AᵀA as in the paper's equation; its published
code divides A's columns by their norms first. Activations are centred within each class before their components are taken, since a class
cannot be changed by moving z. Signs are fixed by making the largest coordinate positive. One unit of an edit is one standard deviation of
the codes along its direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.latent.codes import Codes
from agon.latent.edits import Edit
from agon.latent.view import CENTRE_DRAWS, Latents

ACTIVATION_DRAWS = 4096  # codes whose activations GANSpace looks at in z
METHODS = ("sefa", "ganspace")


@dataclass(frozen=True)
class Reader:
    """A layer that reads the latent: its name, the matrix [out, d] it applies to it, and which layers of w it reads."""

    name: str
    matrix: Tensor
    layers: tuple[int, ...]


def find(
    latents: Latents, method: str, count: int = 5, *, layers: Sequence[int] | None = None, label: Any = None
) -> list[Edit]:  # fmt: skip
    """`count` directions by "sefa" or "ganspace", strongest first. Raises InputError for an unknown method or a latent that is no vector."""
    from agon.errors import suggest

    if method not in METHODS:
        raise InputError(f"method '{method}' is unknown; expected {', '.join(METHODS)}.{suggest(method, METHODS)}")
    if layers is not None:
        if latents.kind != "w":
            raise InputError("--layers needs the mapped latent w; this generator has only z, which all layers share. Leave it out.")
        latents.checked_layers(layers)
    if len(latents.shape) != 1:
        raise InputError(
            f"{method} needs a latent that is a vector; this game's has shape {list(latents.shape)}. Interpolate or project instead."
        )
    if not 1 <= count <= latents.shape[0]:
        raise InputError(f"--count is {count}; expected 1 to {latents.shape[0]}, the dimension of the latent.")
    if method == "sefa":
        return sefa(latents, count, layers=layers)
    return ganspace(latents, count, layers=layers, label=label)


# -- SeFa ----------------------------------------------------------------------------------------------------------------------------


def sefa(latents: Latents, count: int, *, layers: Sequence[int] | None = None) -> list[Edit]:
    """The leading eigenvectors of AᵀA. layers: those of w whose affine maps are taken; None: all."""
    readers = affine_readers(latents)
    if layers is not None:
        readers = [r for r in readers if set(r.layers) & set(layers)]
    if not readers:
        raise InputError(
            "no layer of this generator takes the latent through an affine map, so SeFa has nothing to factorise. Use --method ganspace."
        )
    gram = sum((r.matrix.T @ r.matrix for r in readers), torch.zeros(()))
    assert isinstance(gram, Tensor)
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0), vectors.flip(1)
    share = values.clamp(min=0) / values.clamp(min=0).sum()
    spread = deviation(latents.population(CENTRE_DRAWS).at, vectors[:, :count])
    return [
        _edit(latents, f"sefa-{k}", "sefa", vectors[:, k], float(spread[k]), layers, f"{share[k]:.3f} of the trace of AᵀA")
        for k in range(count)
    ]


def affine_readers(latents: Latents) -> list[Reader]:
    """Every layer that takes latent coordinates unchanged and is affine in them, in the order they are called."""
    probe = _probe(latents)
    found: list[Reader] = []
    for name, module, x in _calls(latents, probe):
        where, layers = _columns(x, probe.at)
        if layers and (matrix := _affine(module, x, where)) is not None:
            found.append(Reader(name, matrix, layers))
    return found


def _probe(latents: Latents) -> Codes:
    """Three random codes, in w with every layer its own, by which a layer's input is recognised."""
    codes = latents.population(3)
    if latents.kind == "z":
        return codes
    many = latents.population(3 * latents.num_layers).at
    return codes.moved(many.reshape(latents.num_layers, 3, -1).transpose(0, 1).contiguous())


def _calls(latents: Latents, codes: Codes, *, stop_after: int | None = None) -> list[tuple[str, nn.Module, Tensor]]:
    """(name, layer, input) of every weighted layer in the order the generator calls them on these codes."""
    found: list[tuple[str, nn.Module, Tensor]] = []
    condition = None if codes.y is None else codes.y.float()

    def listen(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            x = inputs[0] if len(inputs) == 1 else None
            if not isinstance(x, Tensor) or not x.is_floating_point() or len(x) != len(codes):
                return
            if condition is not None and x.shape == condition.shape and torch.equal(x.cpu(), condition):
                return  # a layer that reads tags or numbers alone
            if stop_after is None or len(found) < stop_after:
                found.append((name, module, x.detach()))

        return hook

    handles = [module.register_forward_pre_hook(listen(name)) for name, module in latents.modules() if _weighted(module)]
    try:
        _run(latents, codes)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _run(latents: Latents, codes: Codes) -> None:
    was = [module for _, module in latents.players.items() if module.training]
    for module in was:
        module.eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        latents.forward(codes)
    for module in was:
        module.train()


def _weighted(module: nn.Module) -> bool:
    """A layer without layers inside, with a weight of two or more dimensions. A parametrised weight (spectral norm) counts as its own."""
    inner = [name for name, _ in module.named_children() if name != "parametrizations"]
    weights = [
        *module.parameters(recurse=False),
        *(p for c, part in module.named_children() if c == "parametrizations" for p in part.parameters()),
    ]
    return not inner and any(weight.dim() >= 2 for weight in weights)


def _columns(x: Tensor, at: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Which inputs are which latent coordinates: bool [inputs, d], and the layers of w they come from ((0,) in z)."""
    flat, codes = x.flatten(1).cpu(), at if at.dim() == 3 else at[:, None]
    where, layers = torch.zeros(flat.shape[1], codes.shape[-1], dtype=torch.bool), []
    if flat.shape[1] > 16 * codes.shape[-1] + 4096:
        return where, ()  # a grid of activations, not a latent; comparing would be slow and find nothing
    for layer in range(codes.shape[1]):
        same = (flat[:, :, None] == codes[:, layer][:, None, :]).all(0)
        if same.any():
            where |= same
            layers.append(layer)
    return where, tuple(layers)


def _affine(module: nn.Module, x: Tensor, where: Tensor) -> Tensor | None:
    """The matrix [out, d] that a layer applies to the latent coordinates among its inputs, or None if it is not affine in them."""
    was, shape = module.training, x.shape[1:]
    module.eval()
    with torch.no_grad():

        def reply(codes: Tensor) -> Tensor:
            return module((codes @ where.T.to(codes)).reshape(-1, *shape).to(x)).flatten(1).double().cpu()

        rest = reply(torch.zeros(1, where.shape[1]))
        matrix = (reply(torch.eye(where.shape[1])) - rest).T
        test = torch.randn(2, where.shape[1], generator=torch.Generator().manual_seed(0))
        affine = torch.allclose(reply(test) - rest, test.double() @ matrix.T, rtol=1e-3, atol=1e-4 * float(matrix.abs().max()) + 1e-12)
    module.train(was)
    return matrix if affine else None


# -- GANSpace ------------------------------------------------------------------------------------------------------------------------


def ganspace(latents: Latents, count: int, *, layers: Sequence[int] | None = None, label: Any = None) -> list[Edit]:
    """Principal components of w; in z, of what follows the first layer, brought back by least squares."""
    if latents.kind == "w":
        at = latents.population(CENTRE_DRAWS, label=label).at.double()
        vectors, variance, total = components(at - at.mean(0), count)
        return [
            _edit(latents, f"ganspace-{k}", "ganspace", vectors[:, k], float(variance[k].sqrt()), layers, f"{variance[k] / total:.3f} of the variance of w")
            for k in range(count)
        ]  # fmt: skip
    codes = latents.population(ACTIVATION_DRAWS, label=label)
    z = codes.at.double() - codes.at.double().mean(0)
    y = within_groups(first_activations(latents, codes), codes.y)
    vectors, variance, total = components(y, count)
    x = y @ vectors  # coordinates of the components, [n, count]; uncorrelated, so that least squares is a division
    back = (z.T @ x) / x.square().sum(0)
    step = back * variance.sqrt()  # what one standard deviation of a component is in z
    return [
        _edit(latents, f"ganspace-{k}", "ganspace", step[:, k], None, layers, f"{variance[k] / total:.3f} of the variance behind the first layer")
        for k in range(count)
    ]  # fmt: skip


def first_activations(latents: Latents, codes: Codes) -> Tensor:
    """What reaches the second weighted layer, flattened: float64 [n, features]; what leaves the first where there is no second."""
    probe = _probe(latents)
    calls = _calls(latents, probe)
    reads = [bool(_columns(x, probe.at)[1]) for _, _, x in calls]
    if True not in reads:
        raise InputError(
            "no layer of this generator takes the latent unchanged, so there is no first layer to look behind. Use --space w if it has one."
        )
    first = reads.index(True)
    after = next((i for i in range(first + 1, len(calls)) if not reads[i]), None)
    parts = []
    for low in range(0, len(codes), 256):
        part = codes[low : low + 256]
        heard = _calls(latents, part, stop_after=(first if after is None else after) + 1)[-1]
        if after is None:
            with torch.no_grad():
                parts.append(heard[1](heard[2]).flatten(1).double().cpu())
        else:
            parts.append(heard[2].flatten(1).double().cpu())
    return torch.cat(parts)


def within_groups(x: Tensor, y: Tensor | None) -> Tensor:
    """x [n, d] minus the mean of its own group; y int64 [n] names the groups, otherwise all are one."""
    if y is None or y.dim() > 1:
        return x - x.mean(0)
    _, group = y.unique(return_inverse=True)
    sums = torch.zeros(int(group.max()) + 1, x.shape[1], dtype=x.dtype).index_add_(0, group, x)
    return x - (sums / group.bincount()[:, None])[group]


def components(x: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The leading principal axes [d, count] of centred x [n, d], their variances [count], and the whole variance.

    By a symmetric eigensolver on the smaller of xᵀx and xxᵀ. Raises InputError if x varies in fewer directions.
    """
    n, width = x.shape
    values, vectors = torch.linalg.eigh((x.T @ x if width <= n else x @ x.T) / n)
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    total = x.square().sum() / n
    alive = int((values > 1e-10 * total).sum())
    if alive < count:
        raise InputError(f"the generator varies in {alive} directions here; --count {count} is more. Ask for {max(alive, 1)} or fewer.")
    if width > n:
        vectors = x.T @ vectors
        vectors = vectors / vectors.norm(dim=0)
    return vectors, values, total


# -- two groups ----------------------------------------------------------------------------------------------------------------------


def difference(latents: Latents, more: Codes, less: Codes, name: str, *, layers: Sequence[int] | None = None) -> Edit:
    """From the mean of `less` to the mean of `more`. One unit of the edit is the whole way."""
    for codes in (more, less):
        latents.check(codes)
    way = (_shared(more).mean(0) - _shared(less).mean(0)).double()
    if not float(way.norm()) > 0:
        raise InputError("the two groups have the same mean code, so there is no way from one to the other. Choose other samples.")
    return _edit(latents, name, "difference", way, None, layers, f"{len(more)} against {len(less)} codes", signed=True)


def _shared(codes: Codes) -> Tensor:
    return codes.at.mean(1) if codes.kind == "w" and codes.at.dim() == 3 else codes.at


# -- common --------------------------------------------------------------------------------------------------------------------------


def deviation(at: Tensor, directions: Tensor) -> Tensor:
    """Standard deviation of codes [n, d] along unit directions [d, k]: [k]."""
    return (at.double() @ directions.double()).std(0)


def _edit(
    latents: Latents, name: str, method: str, direction: Tensor, scale: float | None, layers: Sequence[int] | None, note: str, *, signed: bool = False
) -> Edit:  # fmt: skip
    length = float(direction.norm())
    unit = direction / length
    if not signed:
        unit = unit * unit[unit.abs().argmax()].sign()
    return Edit(
        name=name, space=latents.kind, direction=tuple(float(v) for v in unit.float()), scale=length if scale is None else scale, method=method,
        layers=None if layers is None else tuple(layers), weights=latents.weights_sha(), note=note,
    )  # fmt: skip
