"""Operations are counted as by hand, through a gradient of a gradient too."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from agon.flops import Counted


def test_a_linear_layer_forward_and_backward() -> None:
    net, x = nn.Linear(7, 5), torch.randn(3, 7)
    with Counted() as counted:
        out = net(x).sum()
    assert counted.flops == 2 * 3 * 7 * 5
    with Counted() as counted:
        out.backward()  # of the weights alone: the input asks for none
    assert counted.flops == 2 * 3 * 7 * 5


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution(stride: int) -> None:
    net, x = nn.Conv2d(3, 4, 3, stride, 1), torch.randn(2, 3, 8, 8, requires_grad=True)
    side = 8 // stride
    with Counted() as counted:
        net(x).sum().backward()
    assert counted.flops == 3 * 2 * 2 * side * side * 4 * 3 * 9  # itself, and its two gradients


def test_a_gradient_penalty_by_torch_func() -> None:
    weight, x = torch.randn(4, 6, requires_grad=True), torch.randn(3, 4)
    with Counted() as counted:
        inner = torch.func.grad(lambda a: (a @ weight).square().sum())(x)  # 2 (x W) Wᵀ
        inner.square().sum().backward()
    one = 2 * 3 * 4 * 6  # each product here has these three sides
    # x W and its Wᵀ; then of the second the gradients by both factors, and of the first the one by W: x asks for none.
    assert counted.flops == 5 * one


def test_what_is_done_element_by_element_is_left_out() -> None:
    with Counted() as counted:
        torch.randn(8).relu().sum()
    assert counted.flops == 0
