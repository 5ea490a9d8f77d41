"""Layers against their definitions: fused resampling, modulation, spectral norm, attention, norms, equalised weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agon import penalties
from agon.layers.attention import SelfAttention
from agon.layers.init import orthogonal_
from agon.layers.modulated import EqualConv, EqualLinear, ModulatedConv
from agon.layers.norms import ConditionalBatchNorm, MinibatchStd, pixel_norm
from agon.layers.resample import conv_mean, fir, nearest_grid, repeat_conv, smooth_up, stage_widths
from agon.layers.spectral import Spectral, spectral, spectral_

WIDE = torch.float64


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (1, 1)])
def test_fused_resampling_is_resampling_beside_a_convolution(height: int, width: int) -> None:
    x, kernel, bias = torch.randn(2, 3, height, width, dtype=WIDE), torch.randn(5, 3, 3, 3, dtype=WIDE), torch.randn(5, dtype=WIDE)
    slow = F.conv2d(F.interpolate(x, scale_factor=2), kernel, bias, padding=1)
    torch.testing.assert_close(repeat_conv(x, kernel, bias, (2 * height, 2 * width)), slow)
    odd = (2 * height - 1, 2 * width - 1)
    torch.testing.assert_close(repeat_conv(x, kernel, bias, odd), slow[..., : odd[0], : odd[1]])
    big = F.interpolate(x, scale_factor=2) + torch.randn(2, 3, 2 * height, 2 * width, dtype=WIDE)
    torch.testing.assert_close(conv_mean(big, kernel, bias), F.avg_pool2d(F.conv2d(big, kernel, bias, padding=1), 2))


def test_smooth_enlarging_keeps_a_constant_and_doubles() -> None:
    up = smooth_up(torch.ones(1, 2, 6, 4, dtype=WIDE))
    assert up.shape == (1, 2, 12, 8)
    torch.testing.assert_close(up[..., 2:-2, 2:-2], torch.ones(1, 2, 8, 4, dtype=WIDE))
    one = torch.zeros(1, 3, 3, 3, dtype=WIDE)
    one[0, 1, 1, 1] = 1.0
    x = torch.randn(1, 3, 5, 5, dtype=WIDE)
    torch.testing.assert_close(smooth_up(x, one)[..., 1:-1, 1:-1], smooth_up(x[:, 1:2])[..., 1:-1, 1:-1])
    assert fir(torch.ones(1, 1, 8, 8), pad=1, stride=2).shape == (1, 1, 4, 4)


def per_sample(layer: ModulatedConv, x: Tensor, s: Tensor) -> Tensor:
    """Equations 1-3 of the StyleGAN2 paper as written: one kernel for each sample."""
    rows = []
    for image, style in zip(x, s, strict=True):
        weight = layer.weight * layer.scale * style[None, :, None, None]
        if layer.demodulate:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        one = image[None]
        rows.append(smooth_up(one, weight) if layer.up else F.conv2d(one, weight, padding=weight.shape[-1] // 2))
    return torch.cat(rows)


@pytest.mark.parametrize(("size", "up", "demodulate"), [(3, False, True), (3, True, True), (1, False, False)])
def test_modulated_convolution_is_the_per_sample_one(size: int, up: bool, demodulate: bool) -> None:
    layer = ModulatedConv(5, 4, size, up=up, demodulate=demodulate).to(WIDE)
    x, s = torch.randn(3, 5, 6, 5, dtype=WIDE, requires_grad=True), torch.randn(3, 5, dtype=WIDE, requires_grad=True)
    fast, slow = layer(x, s), per_sample(layer, x, s)
    torch.testing.assert_close(fast, slow)
    direction = torch.randn_like(fast)
    for a, b in zip(
        torch.autograd.grad((fast * direction).sum(), [x, s, layer.weight]),
        torch.autograd.grad((slow * direction).sum(), [x, s, layer.weight]),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    if demodulate:
        scale = float(layer(torch.randn(64, 5, 6, 5, dtype=WIDE), torch.randn(64, 5, dtype=WIDE) * 7).detach()[..., 1:-1, 1:-1].std())
        assert 0.4 < scale < 1.6, "demodulation gives unit scale whatever the style"


def test_equalised_layers() -> None:
    linear = EqualLinear(16, 8, start=1.0, speed=0.01)
    x = torch.randn(4, 16)
    torch.testing.assert_close(linear(x), x @ linear.weight.T * 0.01 / 4 + 1.0)
    assert float(linear.weight.detach().std()) == pytest.approx(100, rel=0.3)
    conv = EqualConv(16, 8, 3)
    assert float(conv(torch.randn(4, 16, 12, 12)).detach().std()) == pytest.approx(1, rel=0.3)
    image = torch.randn(2, 16, 6, 6)
    torch.testing.assert_close(conv(image), F.conv2d(image, conv.weight / math.sqrt(16 * 9), padding=1))
    narrow = EqualConv(16, 8, 1, bias=False, down=True)
    slow = F.conv2d(fir(image, pad=1), narrow.weight / 4)[..., ::2, ::2]
    torch.testing.assert_close(narrow(image), slow, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(6, 9, 3), nn.ConvTranspose2d(6, 9, 4), nn.Linear(7, 5), nn.Embedding(9, 4)], ids=lambda m: type(m).__name__
)
def test_spectral_norm_finds_the_largest_singular_value(layer: nn.Module) -> None:
    plain = layer.weight.detach().clone()  # type: ignore[operator]
    spectral(layer)
    norm = layer.parametrizations.weight  # type: ignore[union-attr]
    for _ in range(200):
        with torch.no_grad():
            norm.original.mul_(1 + 1e-6)  # type: ignore[union-attr]
        _ = layer.weight
    matrix = plain.transpose(0, 1).flatten(1) if isinstance(layer, nn.ConvTranspose2d) else plain.flatten(1)
    torch.testing.assert_close(layer.weight, plain / torch.linalg.matrix_norm(matrix, 2), rtol=1e-3, atol=1e-4)


def test_spectral_vectors_move_once_for_each_value_of_the_weight() -> None:
    linear = spectral(nn.Linear(12, 10))
    norm: Spectral = linear.parametrizations.weight[0]  # type: ignore[union-attr, index, assignment]
    weight: Tensor = linear.parametrizations.weight.original  # type: ignore[union-attr, assignment]
    start, x = norm.u.clone(), torch.randn(4, 12)
    linear(x)
    assert torch.equal(norm.u, start), "as constructed, no update yet"
    with torch.no_grad():
        weight.add_(torch.randn_like(weight))
    linear.eval()(x)
    assert torch.equal(norm.u, start), "evaluation moves nothing"
    first = linear.train()(x)
    once = norm.u.clone()
    assert not torch.equal(once, start)
    assert torch.equal(linear(x), first), "a second pass with one weight is the same function"
    assert torch.equal(norm.u, once)


def test_spectral_norm_stands_inside_a_penalty() -> None:
    """torch.func.grad refuses what writes to buffers; here the new vector is used, and kept by the next plain call."""
    critic = nn.Sequential(spectral(nn.Conv2d(2, 6, 3)), nn.LeakyReLU(0.2), nn.Flatten(), spectral(nn.Linear(96, 1)), nn.Flatten(0))
    with torch.no_grad():
        critic[0].parametrizations.weight.original.add_(0.3)
    x = torch.randn(3, 2, 6, 6)
    norms, logits = penalties.zero_centred(critic, x)
    torch.testing.assert_close(logits, critic(x))
    again, _ = penalties.zero_centred(critic, x)
    torch.testing.assert_close(norms, again)
    slope = torch.autograd.grad(norms.sum(), critic[0].parametrizations.weight.original)[0]
    assert float(slope.abs().max()) > 0


def test_spectral_leaves_out_what_it_is_told_to() -> None:
    net = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Embedding(3, 3), "c": nn.Sequential(ConditionalBatchNorm(3, nn.Linear(3, 6)))})
    spectral_(net, embeddings=False, leave=(ConditionalBatchNorm,))
    assert [hasattr(m, "parametrizations") for m in (net["a"], net["b"], net["c"][0].affine)] == [True, False, False]  # type: ignore[index]


@pytest.mark.parametrize(("height", "width"), [(4, 6), (3, 5)])
def test_attention_is_the_loop_over_pixels(height: int, width: int) -> None:
    layer = SelfAttention(16).to(WIDE)
    x = torch.randn(2, 16, height, width, dtype=WIDE)
    assert torch.equal(layer(x), x), "the identity at the start"
    with torch.no_grad():
        layer.gamma.fill_(0.7)
    key = F.max_pool2d(layer.key(x), 2, ceil_mode=True)
    value = F.max_pool2d(layer.value(x), 2, ceil_mode=True)
    query = layer.query(x)
    slow = torch.zeros(2, 8, height, width, dtype=WIDE)
    for n in range(2):
        for i in range(height):
            for j in range(width):
                scores = torch.stack([query[n, :, i, j] @ key[n, :, a, b] for a in range(key.shape[2]) for b in range(key.shape[3])])
                slow[n, :, i, j] = value[n].flatten(1) @ scores.softmax(0)
    torch.testing.assert_close(layer(x), x + 0.7 * layer.out(slow))
    assert torch.autograd.gradgradcheck(layer, (x.requires_grad_(True),))


def test_conditional_norm_normalises_then_scales_by_condition() -> None:
    table = nn.Embedding(2, 6)
    norm = ConditionalBatchNorm(3, table)
    x, y = torch.randn(4, 3, 5, 5) * 3 + 2, torch.tensor([0, 1, 1, 0])
    whitened = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    gain, offset = table(y)[:, :, None, None].chunk(2, 1)
    torch.testing.assert_close(norm(x, y), whitened * (1 + gain) + offset, rtol=1e-4, atol=1e-5)
    assert not list(norm.norm.parameters())
    assert len(list(ConditionalBatchNorm(3).parameters())) == 2


def test_deviation_over_the_batch() -> None:
    x = torch.randn(6, 2, 3, 3)
    joined = MinibatchStd(4)(x)  # 4 does not divide 6: groups of 3, samples 0-2-4 and 1-3-5
    assert joined.shape == (6, 3, 3, 3)
    expected = x[::2].std(0, unbiased=False).mean()
    torch.testing.assert_close(joined[::2, 2], expected.expand(3, 3, 3), rtol=1e-4, atol=1e-5)
    alike = MinibatchStd(2)(torch.ones(4, 2, 3, 3))[:, 2]
    assert float(alike.max()) < 1e-3, "no deviation, which is how a collapse shows"


def test_small_parts() -> None:
    torch.testing.assert_close(pixel_norm(torch.randn(3, 8) * 9).square().mean(1), torch.ones(3))
    assert stage_widths((64, 32), 4) == [64, 32, 16, 16]
    assert stage_widths((8, 4), 3) == [8, 4, 4]
    assert stage_widths((64, 32, 16), 2) == [64, 32]
    assert nearest_grid([(4, 4), (8, 8), (16, 20)], 9) == 1
    conv = nn.Conv2d(4, 8, 3)
    orthogonal_(conv)
    rows = conv.weight.detach().flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(8), rtol=1e-4, atol=1e-5)
