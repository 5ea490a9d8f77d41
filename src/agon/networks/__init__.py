"""Network families: a frozen dataclass of hyperparameters each, with `generator(z_dim, space)` and `critic(space)`.

A generator maps z [n, z_dim] and optional labels y [n] to [n, *space.shape]; a critic maps x [n, *space.shape] and
optional labels to logits [n]. Labels are required exactly when the space has two or more classes, and ignored otherwise.
"""

from __future__ import annotations

from agon.networks.dcgan import DCGAN, PeerDCGAN
from agon.networks.mlp import MLP
from agon.networks.r3 import R3Lean, R3Paper

Family = MLP | DCGAN | PeerDCGAN | R3Paper | R3Lean

__all__ = ["DCGAN", "MLP", "Family", "PeerDCGAN", "R3Lean", "R3Paper"]
