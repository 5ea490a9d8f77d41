"""The residual blocks of the ResNet family of GANs: SNGAN, SAGAN, BigGAN.

Gulrajani et al. 2017, arXiv:1704.00028; Miyato et al. 2018, arXiv:1802.05957, figure 8: normalise, ReLU, resample with a 3x3
convolution, normalise, ReLU, 3x3 convolution, beside a 1x1 shortcut. The resampling and the convolution next to it are one
operation, and the shortcut's 1x1 convolution runs on the smaller grid, with which it commutes: the same numbers for less work.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from agon.layers.norms import ConditionalBatchNorm
from agon.layers.resample import conv_mean, mean_down, nearest_up, repeat_conv

Norm = Callable[[int], ConditionalBatchNorm]


class UpBlock(nn.Module):
    """[n, a, h, w] and a condition → [n, b, *size], size twice the grid or one row or column less. norm: makes a norm of that width."""

    def __init__(self, a: int, b: int, norm: Norm) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(a), norm(b)
        self.conv1, self.conv2 = nn.Conv2d(a, b, 3, padding=1), nn.Conv2d(b, b, 3, padding=1)
        self.shortcut = nn.Conv2d(a, b, 1)

    def forward(self, x: Tensor, condition: Tensor | None, size: tuple[int, int]) -> Tensor:
        h = F.relu(self.norm1(x, condition))
        h = repeat_conv(h, self.conv1.weight, self.conv1.bias, size)
        h = self.conv2(F.relu(self.norm2(h, condition)))
        return h + nearest_up(self.shortcut(x), size)


class DownBlock(nn.Module):
    """[n, a, h, w] → [n, b, ⌈h/2⌉, ⌈w/2⌉], or the same grid without `down`.

    inner: width between the two convolutions, b by default. first: the block that sees the picture, without the leading norm and
    ReLU. batch_norm: plain batch normalisation before each ReLU, which couples the samples. The shortcut is the identity where neither width nor grid changes.
    """

    def __init__(
        self, a: int, b: int, *, inner: int | None = None, down: bool = True, first: bool = False, batch_norm: bool = False
    ) -> None:
        super().__init__()
        inner = inner or b
        self.down, self.first = down, first
        self.conv1, self.conv2 = nn.Conv2d(a, inner, 3, padding=1), nn.Conv2d(inner, b, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(a) if batch_norm and not first else nn.Identity()
        self.norm2 = nn.BatchNorm2d(inner) if batch_norm else nn.Identity()
        self.shortcut = nn.Conv2d(a, b, 1) if a != b or down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm2(self.conv1(x if self.first else F.relu(self.norm1(x)))))
        if not self.down:
            return self.conv2(h) + self.shortcut(x)
        return conv_mean(h, self.conv2.weight, self.conv2.bias) + self.shortcut(mean_down(x))
