"""A generator seen through its latent space: z for any game that has one, w where the generator maps z before it paints.

`Latents` draws codes, shows them as pictures, and moves them: truncation, mixing, edits, ways between them. Everything is seeded, and a code's
picture does not depend on how many are shown with it. Codes stay on the CPU; the generator works where it lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.game import Batch, Game, Players, mix
from agon.latent import paths
from agon.latent.codes import Codes, Kind
from agon.sampling import CHUNK, Drawn, as_drawn, fresh_latents, has_latents, in_bites, in_chunks, still
from agon.spaces import Space

if TYPE_CHECKING:
    from agon.latent.edits import Edit
    from agon.latent.projection import Projection

CENTRE_DRAWS = 10_000  # latents whose mean is the centre of truncation (Karras et al. 2019, arXiv:1812.04948, appendix B)
Labels = Callable[[int, int, Any], "Tensor | None"]  # (n, seed, label) -> the conditions of n samples


class Latents:
    """The latent space of a trained game. kind: "w", "z" or "auto": w where there are `mapping` and `synthesis`.

    These are methods of the player G, mapping(z, y) and synthesis(w), or of the game, mapping(p, z, y) and synthesis(p, w, y). A game with encode(p, x)
    tells the codes of given samples too.
    """

    def __init__(
        self, game: Game, players: Players, space: Space, *, labels: Labels | None = None, kind: Literal["auto", "z", "w"] = "auto",
        first: Tensor | None = None,
    ) -> None:  # fmt: skip
        """labels(n, seed, label) gives conditions as the run draws them; first: uint8 [1, C, H, W], the frame that all clips begin with.

        Raises InputError for w without a mapping.
        """
        self.game, self.players, self.space, self.first = game, players, space, first
        self._labels = labels or (lambda n, seed, label: None)
        self._by_game = _maps(game)
        mapped = self._by_game or ("G" in players and _maps(players.G))
        if kind == "w" and not mapped:
            raise InputError(
                f"{type(game).__name__} has no mapped latent w, only z; leave out --space w, or train a style-based generator."
            )
        self.kind: Kind = "w" if mapped and kind != "z" else "z"
        self.num_layers = int(getattr(players.G, "num_layers", 1)) if self.kind == "w" else 1
        self._shape: tuple[int, ...] | None = None
        self._centres: dict[tuple[Any, ...], tuple[Tensor, float]] = {}

    # -- drawing and showing -----------------------------------------------------------------------------------------------------

    def draw(self, n: int, *, seed: int = 0, label: Any = None) -> Codes:
        """The codes of the n samples that `sample(n, seed=seed, label=label)` shows."""
        if n < 1:
            raise InputError(f"-n is {n}; expected 1 or more samples.")
        return self._mapped(fresh_latents(self.game, self.players, n, seed=seed), self._labels(n, seed, label))

    def pictures(self, codes: Codes, *, seed: int = 0) -> Drawn:
        """Codes as samples: uint8 [n, H, W, C] pictures, uint8 [n, T, H, W, C] clips or float32 [n, d] points. seed: of whatever noise the generator adds."""
        return as_drawn(self.space, self.stored(codes, seed=seed))

    def stored(self, codes: Codes, *, seed: int = 0) -> Tensor:
        """The same in stored form, uint8 [n, C, H, W] or float [n, d]."""
        self.check(codes)

        def part(low: int, high: int) -> Tensor:
            if has_latents(self.game):
                self.game.latents(self.players, CHUNK)  # drawn and dropped, so that a generator's own noise is that of `sample`
            return in_bites(low, high, self.space, lambda a, b: self.forward(codes[a:b]))

        return in_chunks(self.players, self.space, len(codes), part, seed=seed)

    def forward(self, codes: Codes) -> Tensor:
        """Codes as the generator gives them: float [n, *space.shape] in its own range, differentiable in `codes.at`."""
        at = codes.at.to(self.players.device)
        if codes.kind == "w" and self._by_game:
            return self.game.synthesis(self.players, at, None if codes.y is None else codes.y.to(self.players.device))  # type: ignore[attr-defined]
        if codes.kind == "w":
            return self.players.G.synthesis(at)  # type: ignore[operator]
        given = Batch() if codes.y is None else Batch(y=codes.y.to(self.players.device))
        if self.first is not None:
            given["first"] = self.space.normalise(self.first.to(self.players.device)).expand(len(codes), *self.first.shape[1:])
        return self.game.sample(self.players, len(codes), z=at, **({"given": given} if given else {}))

    def check(self, codes: Codes) -> None:
        """Raise InputError unless these codes are of this space."""
        if codes.kind != self.kind:
            raise InputError(f"these codes lie in {codes.kind}, this view is of {self.kind}; open the other with --space {codes.kind}.")
        shape, own = tuple(codes.at.shape[1:]), self.shape
        if shape != own and not (self.kind == "w" and shape == (self.num_layers, *own)):
            raise InputError(f"these codes have shape {list(shape)}, this generator's {list(own)}; they belong to another run.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one code, [z_dim] or [w_dim]."""
        if self._shape is None:
            self._shape = tuple(self.draw(1).at.shape[1:])
        return self._shape

    def _mapped(self, z: Tensor, y: Tensor | None) -> Codes:
        if self.kind == "z":
            return Codes(z.float(), y, "z")
        device, parts = self.players.device, []
        by_game: Any = self.game
        with still(self.players, 0):
            for low in range(0, len(z), CHUNK):
                part, some = None if y is None else y[low : low + CHUNK].to(device), z[low : low + CHUNK].to(device)
                w = by_game.mapping(self.players, some, part) if self._by_game else self.players.G.mapping(some, part)  # type: ignore[operator]
                parts.append(w.float().cpu())
        return Codes(torch.cat(parts), y, "w")

    def encode(self, x: Tensor) -> Codes:
        """The codes of given samples in stored form [n, ...], by the game's own encoder. Raises InputError where it has none."""
        encoder: Any = getattr(self.game, "encode", None)
        if encoder is None or self.kind != "w":
            raise InputError(f"{type(self.game).__name__} has no encoder from samples to codes; train --recipe arae, or project pictures.")
        parts = []
        with still(self.players, 0):
            for low in range(0, len(x), CHUNK):
                parts.append(encoder(self.players, self.space.normalise(x[low : low + CHUNK].to(self.players.device))).float().cpu())
        return Codes(torch.cat(parts), None, "w")

    # -- the centre --------------------------------------------------------------------------------------------------------------

    def population(self, n: int, *, y: Tensor | None = None, label: Any = None) -> Codes:
        """n codes apart from those that samples are made of, for statistics; y: their conditions, in turn, else as the run draws them."""
        z = fresh_latents(self.game, self.players, n, seed=mix(0, 17))
        if y is None:
            y = self._labels(n, mix(0, 17), label)
        else:
            y = y[torch.arange(n) % len(y)]
        return self._mapped(z, y)

    def centre(self, y: Tensor | None = None) -> tuple[Tensor, float]:
        """The mean code [d] of 10,000, and their mean squared distance from it; with y, of one class or one set of conditions [1, …]."""
        key = () if y is None or self.kind == "z" else tuple(y.flatten().tolist())
        if key not in self._centres:
            at = self.population(CENTRE_DRAWS, y=y).at
            mean = at.mean(0)
            self._centres[key] = mean, float((at - mean).square().flatten(1).sum(1).mean())
        return self._centres[key]

    def centres(self, codes: Codes) -> Tensor:
        """The centre each code is truncated to, [n, d]: in w that of its own class, so that a class is kept."""
        if codes.y is None or self.kind == "z" or codes.y.dim() > 1:
            # Tags and numbers take too many values to have a centre each; theirs is the centre of all.
            return self.centre()[0].expand(len(codes), *self.shape)
        return torch.stack([self.centre(codes.y[i : i + 1])[0] for i in range(len(codes))])

    # -- moving ------------------------------------------------------------------------------------------------------------------

    def truncate(self, codes: Codes, psi: float, *, layers: Sequence[int] | None = None) -> Codes:
        """c̄ + ψ (c - c̄): nearer to the mean code, less varied and safer (arXiv:1812.04948, appendix B; in z, a scaled normal).

        psi: 0 is the mean, 1 leaves the code as it is. layers: only these layers of w (a cut-off: the first ones alone).
        Latent coordinates that are ±1 by design are left alone.
        """
        if not 0 <= psi < float("inf"):
            raise InputError(f"--truncation is {psi}; expected 0 (the mean), 1 (as drawn), between them, or more to exaggerate.")
        self.check(codes)
        if psi == 1:
            return codes
        centre = self.centres(codes)
        if self.kind == "z":
            return codes.moved(torch.where(self.free(), centre + psi * (codes.at - centre), codes.at))
        return self._in_layers(codes, lambda at: centre_of(at, centre) + psi * (at - centre_of(at, centre)), layers)

    def threshold(self, codes: Codes, limit: float) -> Codes:
        """z from the normal cut off at ±limit (Brock et al. 2019, arXiv:1809.11096, section 3.1).

        The paper draws again what is larger; here z moves to the same quantile of the truncated normal, Φ⁻¹(Φ(-τ) + Φ(z)(Φ(τ) - Φ(-τ))),
        the same distribution, and a seed keeps its picture.
        """
        if self.kind != "z":
            raise InputError("--threshold cuts off the normal z; w is not normal. Use --truncation, or --space z.")
        if not limit > 0:
            raise InputError(f"--threshold is {limit}; expected a number above 0, such as 1.")
        self.check(codes)
        at, normal = codes.at.double(), torch.distributions.Normal(0.0, 1.0)
        low, high = (normal.cdf(torch.tensor(side * limit, dtype=torch.float64)) for side in (-1, 1))
        cut = normal.icdf(low + normal.cdf(at) * (high - low)).clamp(-limit, limit).float()
        return codes.moved(torch.where(self.free(), cut, codes.at))

    def mix(self, coarse: Codes, fine: Codes, layers: Sequence[int]) -> Codes:
        """Style mixing: `coarse`, with these layers from `fine` (arXiv:1812.04948, section 3.1). Only in w."""
        if self.kind != "w":
            raise InputError(
                f"style mixing needs a generator whose layers read w each for itself; {type(self.game).__name__} has only z. "
                "Train a style-based generator, or use --grid to blend latents."
            )
        for codes in (coarse, fine):
            self.check(codes)
        if len(coarse) != len(fine):
            raise InputError(f"style mixing pairs codes one by one, got {len(coarse)} and {len(fine)}.")
        at = self.layered(coarse).clone()
        chosen = self.checked_layers(layers)
        at[:, chosen] = self.layered(fine)[:, chosen]
        return coarse.moved(at)

    def along(self, codes: Codes, direction: Tensor, amount: float | Tensor, *, layers: Sequence[int] | None = None) -> Codes:
        """c + amount · direction. direction: [d]; amount: a number, or one each [n]. layers: only these layers of w."""
        self.check(codes)
        step = torch.as_tensor(amount, dtype=torch.float32).reshape(-1, *[1] * direction.dim()) * direction
        if self.kind == "z":
            if layers is not None:
                raise InputError("--layers needs the mapped latent w; this generator has only z, which all layers share. Leave it out.")
            return codes.moved(codes.at + step)
        return self._in_layers(codes, lambda at: at + (step[:, None] if at.dim() == 3 else step), layers)

    def edited(self, codes: Codes, edit: Edit, amount: float | Tensor) -> Codes:
        """A named edit applied: c + amount · scale · direction. Raises InputError if it was found in another space."""
        if edit.space != self.kind or self.shape != (len(edit.direction),):
            raise InputError(
                f"edit '{edit.name}' lies in {edit.space} of {len(edit.direction)} dimensions, this view is of {self.kind} with shape "
                f"{list(self.shape)}. Find it again on this run, or choose the other by --space."
            )
        return self.along(codes, edit.scale * torch.tensor(edit.direction), amount, layers=edit.layers)

    def find(self, method: str, count: int = 5, *, layers: Sequence[int] | None = None, label: Any = None) -> list[Edit]:
        """`count` directions by "sefa" or "ganspace", see `agon.latent.directions`."""
        from agon.latent.directions import find

        return find(self, method, count, layers=layers, label=label)

    def project(self, target: Any, **options: Any) -> Projection:
        """The codes nearest to pictures, uint8 [n, H, W, C] or one [H, W, C], or to clips with time before; options as `agon.latent.project`."""
        from agon.latent.projection import project

        x = torch.as_tensor(target)
        if len(self.space.shape) >= 3:
            x = (x if x.dim() == len(self.space.shape) + 1 else x[None]).movedim(-1, -3).contiguous()
        return project(self, x, **options)

    def walk(self, codes: Codes, *, frames: int = 24, spherical: bool | None = None, closed: bool = True) -> Codes:
        """A path through the codes, `frames` steps each; great circles in z and lines in w unless told. Conditions change at each code."""
        at = paths.line(self._alike(codes), frames, spherical=self._round(spherical), closed=closed)
        owner = (torch.arange(len(at)) // frames).clamp(max=len(codes) - 1)
        return Codes(at, None if codes.y is None else codes.y[owner], codes.kind)

    def grid(self, corners: Codes, rows: int, columns: int, *, spherical: bool | None = None) -> Codes:
        """rows · columns codes between four corners, under the first one's conditions."""
        at = paths.grid(self._alike(corners), rows, columns, spherical=self._round(spherical))
        return Codes(at, None if corners.y is None else corners.y[:1].expand(len(at), *corners.y.shape[1:]), corners.kind)

    # -- layers ------------------------------------------------------------------------------------------------------------------

    def layered(self, codes: Codes) -> Tensor:
        """w as [n, num_layers, w_dim]."""
        return codes.at if codes.at.dim() == 3 else codes.at[:, None].expand(-1, self.num_layers, -1)

    def checked_layers(self, layers: Sequence[int]) -> list[int]:
        """Layer numbers as a list. Raises InputError for one that is not there."""
        for layer in layers:
            if not 0 <= layer < self.num_layers:
                raise InputError(f"layer {layer} is not there; this generator has {self.num_layers}, 0 to {self.num_layers - 1}.")
        return list(layers)

    def _in_layers(self, codes: Codes, move: Callable[[Tensor], Tensor], layers: Sequence[int] | None) -> Codes:
        if layers is None:
            return codes.moved(move(codes.at))
        chosen, at = self.checked_layers(layers), self.layered(codes).clone()
        at[:, chosen] = move(at)[:, chosen]
        return codes.moved(at)

    def _alike(self, codes: Codes) -> Tensor:
        self.check(codes)
        return codes.at

    def _round(self, spherical: bool | None) -> bool:
        return self.kind == "z" if spherical is None else spherical

    def free(self) -> Tensor:
        """Which coordinates of z vary continuously, [*shape] bool: a coordinate that is ±1 in 64 draws is a sign by design."""
        return ~(self.population(64).at.abs() == 1).all(0)

    # -- identity ----------------------------------------------------------------------------------------------------------------

    def weights_sha(self) -> str:
        """sha256 over names, shapes and values of every player's state, so that a direction knows what it was found on."""
        digest = hashlib.sha256()
        for name, module in self.players.items():
            for key, value in module.state_dict().items():
                digest.update(f"{name}/{key}{list(value.shape)}{value.dtype}".encode())
                digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def modules(self) -> list[tuple[str, nn.Module]]:
        """Every sub-module of every player with its dotted name."""
        return [(f"{name}.{path}", module) for name, player in self.players.items() for path, module in player.named_modules()]


def _maps(what: Any) -> bool:
    return all(callable(getattr(what, name, None)) for name in ("mapping", "synthesis"))


def centre_of(at: Tensor, centre: Tensor) -> Tensor:
    """The centre [n, d] in the shape of w [n, d] or [n, num_layers, d]."""
    return centre[:, None] if at.dim() == 3 else centre


def read_layers(text: str, option: str = "--layers") -> list[int]:
    """ "0-3", "2" or "0,2,5-7" as whole numbers. Raises InputError, naming the option."""
    layers: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdigit() or (dash and not high.isdigit()) or (dash and int(high) < int(low)):
            raise InputError(f"{option}: got '{text}'; expected numbers and ranges such as 0-3 or 0,2,5-7.")
        layers += range(int(low), int(high or low) + 1)
    return layers
