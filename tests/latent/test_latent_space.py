"""Latent tools against closed forms: linear generators, linear mappings, known angles; the same code, the same picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agon.errors import InputError
from agon.game import Batch, Game, Players, Turn, label_of
from agon.latent import Codes, Latents, difference, find, joined, load_codes, project, read_layers, save_codes
from agon.latent.directions import affine_readers, components, within_groups
from agon.latent.paths import grid, lerp, line, slerp
from agon.latent.sheets import Wish, granted, mixing_table, strip
from agon.networks import Network
from agon.optim import Adam, Average
from agon.sampling import draw
from agon.spaces import Image, Vector

SPACE = Image(channels=1, height=4, width=4)
CLASSED = Image(channels=1, height=4, width=4, classes=("a", "b", "c"))


@dataclass(frozen=True, kw_only=True)
class Toy(Game):
    """A game with a given latent dimension; its networks are put in by the tests."""

    z_dim: int = 6
    signs: int = 0
    optim: Mapping[str, Adam] = field(default_factory=dict)
    ema: Mapping[str, Average] = field(default_factory=dict)

    def players(self, space: object) -> dict[str, nn.Module]:
        return {}

    def turns(self) -> list[Turn]:
        return []

    def latents(self, p: Players, n: int) -> Tensor:
        z = p.randn(n, self.z_dim)
        return torch.cat([z[:, : self.signs].sign(), z[:, self.signs :]], 1)

    def sample(self, p: Players, n: int, *, z: Tensor | None = None, given: Batch | None = None) -> Tensor:
        return p.G(self.latents(p, n) if z is None else z, label_of(given))


class Linear(nn.Module):
    """x = A z + b as a 4×4 picture."""

    def __init__(self, z_dim: int = 6) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Linear(z_dim, 16)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.first(z).reshape(-1, 1, 4, 4)


class Conditional(nn.Module):
    """z joined to a class embedding, a transposed convolution, a non-linearity, a convolution."""

    def __init__(self, z_dim: int = 6) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.embedding = nn.Embedding(3, 5)
        self.first = nn.ConvTranspose2d(z_dim + 5, 8, 4)
        self.second = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(torch.cat([self.embedding(y), z], 1)[:, :, None, None]))).tanh()


class Plain(nn.Module):
    """Nothing to learn: the latent is the picture."""

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z


class Styled(nn.Module):
    """A style-based generator of three layers: w = M z (+ class), each layer adds its own affine map of its own w."""

    num_layers = 3

    def __init__(self, z_dim: int = 6, classes: int = 0) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.map = nn.Linear(z_dim, 5, bias=True)
        self.shift = nn.Embedding(classes, 5) if classes else None
        self.affines = nn.ModuleList(nn.Linear(5, 16) for _ in range(3))

    def mapping(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        w = self.map(z)
        return w if self.shift is None or y is None else w + self.shift(y)

    def synthesis(self, w: Tensor) -> Tensor:
        w = w if w.dim() == 3 else w[:, None].expand(-1, 3, -1)
        return sum(affine(w[:, i]) for i, affine in enumerate(self.affines)).reshape(-1, 1, 4, 4) / 8  # type: ignore[union-attr]

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.synthesis(self.mapping(z, y))


def view(generator: nn.Module, space: Image | Vector = SPACE, **more: object) -> Latents:
    def labels(n: int, seed: int, label: int | None) -> Tensor | None:
        if not space.classes:
            return None
        if label is not None:
            return torch.full((n,), int(label))
        return torch.randint(len(space.classes), (n,), generator=torch.Generator().manual_seed(seed % 2**31))

    signs = int(more.pop("signs", 0))  # type: ignore[call-overload]
    return Latents(Toy(signs=signs), Players({"G": generator}), space, labels=labels, **more)  # type: ignore[arg-type]


# -- ways ----------------------------------------------------------------------------------------------------------------------------


def test_a_great_circle_keeps_length_and_divides_the_angle() -> None:
    a, b = torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0])
    way = slerp(a, b, torch.linspace(0, 1, 7))
    torch.testing.assert_close(way.norm(dim=1), torch.full((7,), 2.0))
    torch.testing.assert_close(torch.atan2(way[:, 1], way[:, 0]), torch.linspace(0, math.pi / 2, 7))
    torch.testing.assert_close(lerp(a, b, torch.tensor([0.5]))[0], torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(slerp(a, 3 * a, torch.tensor([0.5]))[0], 2 * a)  # parallel: a line


def test_lines_and_grids_meet_their_anchors() -> None:
    anchors = torch.eye(3)
    closed, open_ = line(anchors, 4, spherical=True, closed=True), line(anchors, 4, spherical=False, closed=False)
    assert closed.shape == (12, 3) and open_.shape == (9, 3)
    torch.testing.assert_close(closed[::4], anchors)
    torch.testing.assert_close(open_[::4], anchors)
    corners = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    flat = grid(corners, 3, 4, spherical=False).reshape(3, 4, 5)
    torch.testing.assert_close(torch.stack([flat[0, 0], flat[0, -1], flat[-1, 0], flat[-1, -1]]), corners)
    torch.testing.assert_close(flat[1, 1], (corners[0] + corners[2]) / 3 + (corners[1] + corners[3]) / 6)
    for call, words in ((lambda: line(anchors, 0, spherical=True, closed=True), "--frames is 0"), (lambda: grid(corners, 1, 4, spherical=True), "1×4"),
                        (lambda: line(anchors[:1], 2, spherical=True, closed=True), "at least 2 latents")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            call()


# -- drawing and truncation ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generator", [Conditional(), Styled(classes=3)], ids=["z", "w"])
def test_a_seed_means_the_same_codes_and_pictures_in_any_number(generator: nn.Module) -> None:
    latents = view(generator, CLASSED)
    many, few = latents.draw(200, seed=2, label=1), latents.draw(130, seed=2, label=1)
    torch.testing.assert_close(many.at[:130], few.at, rtol=0, atol=1e-6)
    shown = latents.stored(many)
    assert (latents.stored(few).int() - shown[:130].int()).abs().max() <= 1
    assert not torch.equal(shown[:64], latents.stored(latents.draw(64, seed=3, label=1)))
    state = torch.get_rng_state()
    latents.stored(latents.draw(5, seed=9, label=0))
    assert torch.equal(state, torch.get_rng_state())


def test_truncation_ends_at_the_mean_of_the_class_and_at_the_sample() -> None:
    latents = view(Styled(classes=3), CLASSED)
    codes = latents.draw(9, seed=1)
    assert torch.equal(latents.truncate(codes, 1.0).at, codes.at)
    means = latents.truncate(codes, 0.0).at
    generator = latents.players.G
    for k in codes.y.unique():  # type: ignore[union-attr]
        own = means[codes.y == k]
        expected = generator.map.bias + generator.shift.weight[k]  # E z = 0
        assert (own - own[0]).abs().max() < 1e-6
        assert (own[0] - expected).abs().max() < 5 * generator.map.weight.norm() / 100  # the mean of 10,000
    half = latents.truncate(codes, 0.5).at
    torch.testing.assert_close(half, (codes.at + means) / 2)
    cut = latents.truncate(codes, 0.5, layers=[0, 2]).at
    assert cut.shape == (9, 3, 5)
    torch.testing.assert_close(cut[:, [0, 2]], half[:, None].expand(-1, 2, -1))
    torch.testing.assert_close(cut[:, 1], codes.at)
    with pytest.raises(InputError, match="layer 3 is not there"):
        latents.truncate(codes, 0.5, layers=[3])


def test_truncation_in_z_shrinks_the_normal_and_leaves_signs() -> None:
    latents = view(Linear(), signs=2)
    codes = latents.draw(4000, seed=1)
    small = latents.truncate(codes, 0.3).at
    assert torch.equal(small[:, :2], codes.at[:, :2])
    assert small[:, 2:].std() == pytest.approx(0.3, rel=0.05)
    cut = latents.threshold(codes, 1.0).at
    assert torch.equal(cut[:, :2], codes.at[:, :2])
    assert cut[:, 2:].abs().max() <= 1
    # Standard deviation of a normal cut off at ±1: √(1 - 2φ(1) / (2Φ(1) - 1)) = 0.5396
    assert cut[:, 2:].std() == pytest.approx(0.5396, rel=0.02)
    torch.testing.assert_close(latents.threshold(codes, 30.0).at, codes.at, atol=1e-4, rtol=1e-3)
    with pytest.raises(InputError, match="--truncation is -1"):
        latents.truncate(codes, -1)
    with pytest.raises(InputError, match="--threshold is 0"):
        latents.threshold(codes, 0)
    with pytest.raises(InputError, match="w is not normal"):
        view(Styled()).threshold(view(Styled()).draw(1), 1)


# -- mixing --------------------------------------------------------------------------------------------------------------------------


def test_mixing_takes_layers_from_the_other_and_only_in_w(tmp_path: Path) -> None:
    latents = view(Styled())
    a, b = latents.draw(2, seed=0), latents.draw(2, seed=1)
    mixed = latents.mix(a, b, [1]).at
    torch.testing.assert_close(mixed[:, 1], b.at)
    torch.testing.assert_close(mixed[:, [0, 2]], a.at[:, None].expand(-1, 2, -1))
    table = mixing_table(latents, a, latents.draw(3, seed=4), [0, 1])
    assert table.shape == (12, 4, 4, 1)
    assert (table[0] == 255).all()
    assert np.array_equal(table[4], latents.pictures(a[0])[0])  # the row's own picture
    assert np.array_equal(table[1], latents.pictures(latents.draw(3, seed=4)[0])[0])
    everything = mixing_table(latents, a, latents.draw(3, seed=4), [0, 1, 2])
    assert np.array_equal(everything[5:8], everything[1:4])  # all layers from the column: the column's picture
    with pytest.raises(InputError, match="style mixing needs a generator"):
        view(Linear()).mix(a, b, [1])
    with pytest.raises(InputError, match="lie in w, this view is of z"):
        view(Linear()).stored(a)
    with pytest.raises(InputError, match="no mapped latent w"):
        view(Linear(), kind="w")
    assert view(Styled(), kind="z").kind == "z"


def test_every_network_of_the_zoo_can_be_looked_at() -> None:
    """Whatever a network calls its layers, the one that reads the latent is found, and codes show what `draw` shows."""
    space = Image(channels=3, height=16, width=16, classes=("a", "b"))
    y = torch.arange(5) % 2
    for family in get_args(Network):
        torch.manual_seed(0)
        players = Players({"G": family().generator(6, space)})
        latents = Latents(Toy(), players, space, labels=lambda n, seed, label: torch.arange(n) % 2)
        readers = affine_readers(latents)
        assert readers, f"no layer of {family.__name__} is seen to read the latent"
        assert {layer for reader in readers for layer in reader.layers} == set(range(latents.num_layers)), family.__name__
        expected = draw(Toy(), players, space, 5, seed=2, labels=y)
        assert (latents.stored(latents.draw(5, seed=2), seed=2).int() - expected.int()).abs().max() <= 1, family.__name__


# -- directions ----------------------------------------------------------------------------------------------------------------------


def test_sefa_of_a_linear_generator_gives_its_singular_vectors() -> None:
    generator = Linear()
    found = find(view(generator), "sefa", 6)
    _, values, right = torch.linalg.svd(generator.first.weight.detach().double())
    directions = torch.tensor([edit.direction for edit in found], dtype=torch.float64)
    torch.testing.assert_close((directions @ right.T).abs(), torch.eye(6, dtype=torch.float64), atol=1e-5, rtol=0)
    assert all(edit.direction[int(np.abs(edit.direction).argmax())] > 0 for edit in found)
    assert found[0].note.startswith(f"{values[0] ** 2 / values.square().sum():.3f}")
    assert found[0].scale == pytest.approx(1, rel=0.03)  # one standard deviation of a normal latent
    assert [edit.name for edit in found[:2]] == ["sefa-0", "sefa-1"]


def test_the_matrix_that_reads_the_latent_is_found_whatever_stands_beside_it() -> None:
    generator = Conditional()
    (reader,) = affine_readers(view(generator, CLASSED))
    weight = generator.first.weight[5:].detach().double()  # rows after the embedding's five belong to z: [6, 8, 4, 4]
    torch.testing.assert_close(reader.matrix, weight.flatten(1).T, atol=1e-5, rtol=1e-4)
    spectral = Linear()
    nn.utils.parametrizations.spectral_norm(spectral.first)
    spectral.eval()
    (normed,) = affine_readers(view(spectral))
    torch.testing.assert_close(normed.matrix, spectral.first.weight.detach().double(), atol=1e-5, rtol=1e-4)


def test_sefa_in_w_reads_the_layers_asked_for() -> None:
    generator = Styled()
    latents = view(generator)
    readers = affine_readers(latents)
    assert [reader.layers for reader in readers] == [(0,), (1,), (2,)]
    (alone,) = find(latents, "sefa", 1, layers=[2])
    _, _, right = torch.linalg.svd(generator.affines[2].weight.detach().double())
    assert abs(float(torch.tensor(alone.direction, dtype=torch.float64) @ right[0])) == pytest.approx(1, abs=1e-5)
    assert alone.layers == (2,)
    codes = latents.draw(2)
    moved = latents.edited(codes, alone, 2.0).at
    torch.testing.assert_close(moved[:, 2] - codes.at, 2 * alone.scale * torch.tensor(alone.direction).expand(2, -1))
    torch.testing.assert_close(moved[:, :2], codes.at[:, None].expand(-1, 2, -1))


def test_ganspace_of_a_linear_mapping_gives_its_principal_axes() -> None:
    generator = Styled()
    with torch.no_grad():  # well-separated axes, so that 10,000 draws tell them apart
        left, _, right = torch.linalg.svd(generator.map.weight, full_matrices=False)
        generator.map.weight.copy_(left @ torch.diag(torch.tensor([4.0, 2.0, 1.0, 0.5, 0.25])) @ right)
    found = find(view(generator), "ganspace", 3)
    for k, (edit, deviation) in enumerate(zip(found, (4.0, 2.0, 1.0), strict=True)):
        assert abs(float(torch.tensor(edit.direction) @ left[:, k])) > 0.999
        assert edit.scale == pytest.approx(deviation, rel=0.03)


def test_ganspace_in_z_of_a_linear_generator_agrees_with_sefa() -> None:
    """Least squares from the scores of an affine layer back to a normal z gives the right singular vectors."""
    generator = Linear()
    with torch.no_grad():
        left, _, right = torch.linalg.svd(generator.first.weight, full_matrices=False)
        generator.first.weight.copy_(left @ torch.diag(torch.tensor([6.0, 4.0, 2.0, 1.0, 0.5, 0.2])) @ right)
    for edit, expected in zip(find(view(generator), "ganspace", 3), find(view(generator), "sefa", 3), strict=True):
        assert abs(np.dot(edit.direction, expected.direction)) > 0.99
        assert edit.scale == pytest.approx(1, rel=0.05)


def test_components_by_either_matrix_and_within_groups() -> None:
    x = torch.randn(40, 7, generator=torch.Generator().manual_seed(1)).double()
    x = x - x.mean(0)
    narrow, variance, total = components(x, 3)
    wide, same, _ = components(torch.cat([x, torch.zeros(40, 60, dtype=torch.float64)], 1), 3)
    torch.testing.assert_close((narrow.T @ wide[:7]).abs(), torch.eye(3, dtype=torch.float64), atol=1e-8, rtol=0)
    torch.testing.assert_close(variance, same)
    assert float(total) == pytest.approx(float(x.var(0, unbiased=False).sum()))
    with pytest.raises(InputError, match="varies in 1 directions"):
        components(x[:, :1] @ torch.ones(1, 4).double(), 2)
    y = torch.tensor([0, 2] * 20)
    centred = within_groups(x, y)
    assert centred[y == 0].mean(0).abs().max() < 1e-12 and centred[y == 2].mean(0).abs().max() < 1e-12


def test_a_direction_from_two_groups_leads_from_one_to_the_other() -> None:
    latents = view(Linear())
    codes = latents.draw(6)
    edit = difference(latents, codes[[0, 1]], codes[[4, 5]], "bold")
    torch.testing.assert_close(latents.edited(codes[[4, 5]], edit, 1.0).at.mean(0), codes.at[:2].mean(0), atol=1e-5, rtol=1e-4)
    with pytest.raises(InputError, match="same mean code"):
        difference(latents, codes, codes, "none")


def test_what_cannot_be_found_says_why() -> None:
    latents = view(Linear())
    for call, words in (
        (lambda: find(latents, "sefaa"), "Did you mean 'sefa'"),
        (lambda: find(latents, "sefa", 7), "expected 1 to 6"),
        (lambda: find(latents, "sefa", layers=[0]), "needs the mapped latent w"),
        (lambda: find(view(Plain()), "sefa"), "no layer of this generator"),
        (lambda: view(Linear()).edited(view(Styled()).draw(1), find(latents, "sefa")[0], 1), "lie in w"),
        (lambda: view(Styled()).edited(view(Styled()).draw(1), find(latents, "sefa")[0], 1), "edit 'sefa-0' lies in z of 6 dimensions"),
    ):
        with pytest.raises(InputError, match=words):
            call()


class NoLatents(Toy):
    latents = Game.latents


def test_a_game_without_latents_says_so() -> None:
    latents = Latents(NoLatents(), Players({"G": Linear()}), SPACE)
    with pytest.raises(InputError, match="no latent space"):
        latents.draw(3)


# -- projection ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generator", [Conditional(), Styled(classes=3)], ids=["z", "w"])
def test_projecting_a_generated_picture_finds_it_again(generator: nn.Module) -> None:
    latents = view(generator, CLASSED)
    target = latents.pictures(latents.draw(2, seed=5))
    found = latents.project(target, steps=150, starts=3, candidates=60, seed=1)
    assert (found.mse < 2e-4).all(), found.mse
    assert (found.mse < found.random_mse / 5).all()
    torch.testing.assert_close(found.psnr, -10 * found.mse.clamp(min=1e-10).log10())
    assert torch.equal(found.shown[:1], latents.stored(found.codes[0]))
    again = latents.project(target[1:], steps=150, starts=3, candidates=60, seed=1)
    torch.testing.assert_close(again.codes.at, found.codes.at[1:], atol=1e-5, rtol=1e-4)  # by itself or with others
    assert all(p.grad is None for p in generator.parameters())


def test_projection_starts_and_stops_where_it_says() -> None:
    latents = view(Styled())
    target = latents.stored(latents.draw(1, seed=5))
    still = project(latents, target, steps=0, candidates=30)
    torch.testing.assert_close(still.mse, still.random_mse, atol=1e-3, rtol=0.02)  # to rounding
    assert project(latents, target, steps=20, candidates=30, per_layer=True).codes.at.shape == (1, 3, 5)
    far = project(latents, torch.full_like(target, 255), steps=60, candidates=30, prior=100.0)
    mean, usual = latents.centre()
    assert (far.codes.at[0] - mean).square().sum() < 1.2 * usual  # the prior holds what the picture pulls away
    assert (
        project(latents, torch.full_like(target, 255), steps=60, candidates=30, prior=0.0).codes.at[0] - mean
    ).square().sum() > 1.2 * usual


def test_projection_refuses_what_does_not_fit() -> None:
    latents = view(Linear())
    target = latents.stored(latents.draw(1))
    for call, words in (
        (lambda: project(latents, target[:, :, :3]), r"shape \[1, 3, 4\]; this run makes \[1, 4, 4\]"),
        (lambda: project(latents, target, steps=-1), "--steps is -1"),
        (lambda: project(latents, target, starts=0), "--starts is 0"),
        (lambda: project(latents, target, per_layer=True), "--per-layer needs"),
    ):
        with pytest.raises(InputError, match=words):
            call()


# -- codes and sheets ----------------------------------------------------------------------------------------------------------------


def test_codes_survive_the_way_through_a_file(tmp_path: Path) -> None:
    for codes in (view(Conditional(), CLASSED).draw(3), view(Styled()).draw(2), Codes(torch.randn(2, 3, 5), None, "w")):
        again = load_codes(save_codes(codes, tmp_path / "deep" / "latents.npz"))
        assert torch.equal(again.at, codes.at) and again.kind == codes.kind
        assert (again.y is None) == (codes.y is None) and (codes.y is None or torch.equal(again.y, codes.y))  # type: ignore[arg-type]
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not a zip")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name, words in (("none.npz", "does not exist"), ("bad.npz", "holds no latents"), ("other.npz", "holds no latents")):
        with pytest.raises(InputError, match=words):
            load_codes(tmp_path / name)
    mixed = joined([Codes(torch.zeros(2, 5), None, "w"), Codes(torch.ones(1, 3, 5), None, "w")])
    assert mixed.at.shape == (3, 3, 5)
    with pytest.raises(InputError, match="cannot be joined"):
        joined([Codes(torch.zeros(2, 5), None, "w"), Codes(torch.zeros(2, 5), None, "z")])


def test_sheets_have_the_rows_and_columns_they_say() -> None:
    latents = view(Styled())
    edit, codes = find(latents, "sefa", 1)[0], latents.draw(2, seed=1)
    sheet = strip(latents, codes, edit)
    assert sheet.shape == (14, 4, 4, 1)
    assert np.array_equal(sheet[[3, 10]], latents.pictures(codes))  # amount 0 in the middle
    assert granted(latents, Wish(interpolate=3, frames=4), 64)[0].shape[0] == 12
    picture, columns = granted(latents, Wish(mix=(2, 3)), 64)
    assert picture.shape[0] == 12 and columns == 4
    assert granted(latents, Wish(grid=3), 64)[0].shape[0] == 9
    with pytest.raises(InputError, match="ask for one of them"):
        granted(latents, Wish(grid=3, mix=(1, 1)), 64)
    with pytest.raises(InputError, match="holds 2"):
        granted(latents, Wish(grid=3), 64, start=codes)
    points = Latents(Toy(), Players({"G": nn.Sequential(nn.Linear(6, 2))}), Vector())
    with pytest.raises(InputError, match="strips and tables are of pictures"):
        strip(points, Codes(torch.zeros(1, 6)), edit)
    assert read_layers("0-2,5") == [0, 1, 2, 5]
    for text in ("a", "3-1", "", "1-"):
        with pytest.raises(InputError, match="expected numbers and ranges"):
            read_layers(text)
