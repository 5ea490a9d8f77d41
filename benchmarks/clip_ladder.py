"""Which figure sees which fault of clips: the numbers behind the table of docs/video-metrics.md.

    python benchmarks/clip_ladder.py FIGURES.json

490 clips of moving-shapes from a seed of their own, each fault at three strengths; every figure with its interval goes to FIGURES.json, and the
processor seconds per 1,000 clips. The verdicts of the table were drawn from these by its stated rule, and thresholds of `copying`, class_accuracy (a
step of 0.5 % at least) and nearest_clip under blur ("gross") were set after looking. One thread.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from agon.data import Data, open_data
from agon.data.entry import default_cache
from agon.data.moving import draw_scene, make_scene
from agon.metrics import make_extractor, registry
from agon.metrics.contract import Features
from agon.metrics.setting import Setting

ds = open_data(Data(path="moving-shapes"))
N = 490
st = Setting(ds, make_extractor("clips", ds), 0, default_cache(), labelled=True, conditioned=True)
fam = ["fd", "kid", "c2st", "prdc", "memorisation", "class_accuracy", "motion", "content", "consistency", "obeys", "scenes", "nearest_clip"]
scene = make_scene(3000, seed=7)
X = torch.from_numpy(draw_scene(scene[np.arange(N)], 16, 32, 32))
Y = torch.from_numpy(scene.direction[:N])


def g():
    return torch.Generator().manual_seed(5)


def some(share):
    return torch.rand(N, generator=g()) < share


def shuffle(s):
    x = X.clone()
    gg = g()
    for k in some(s).nonzero().flatten():
        x[k] = x[k][torch.randperm(16, generator=gg)]
    return x, Y


def freeze(s):
    k = round(16 * (1 - s))
    k = max(1, k)
    x = X.clone()
    x[:, k:] = x[:, k - 1 : k]
    return x, Y


def reverse(s):
    x = X.clone()
    m = some(s)
    x[m] = x[m].flip(1)
    return x, Y


def noise(sd):
    return (X + sd * torch.randn(X.shape, generator=g())).clamp(0, 255).round().byte(), Y


def blur(k):
    return F.avg_pool2d(X.float().flatten(0, 1), k, 1, k // 2, count_include_pad=False).reshape(X.shape).round().byte(), Y


def flick(a):
    s = torch.tensor([1 - a, 1.0]).repeat(8)[None, :, None, None, None]
    return (X.float() * s).round().byte(), Y


def drop(keep):
    i = np.flatnonzero(np.isin(scene.colour, [0, 2, 4, 5, 1][:keep]))[:N]
    return torch.from_numpy(draw_scene(scene[i], 16, 32, 32)), torch.from_numpy(scene.direction[i])


def swap(s):
    x = X.clone()
    m = some(s)
    x[m, 8:] = X.roll(1, 0)[m, 8:]
    return x, Y


def copies(s):
    x = X.clone()
    m = some(s)
    c = ds.train.x[:N]
    y = Y.clone()
    x[m] = c[m]
    y[m] = ds.train.y[:N][m]
    return x, y


def dup(k):
    i = torch.arange(N) % (N // k)
    return X[i], Y[i]


faults = {
    "none": (lambda _: (X, Y), [0]),
    "shuffled frames": (shuffle, [0.1, 0.3, 1]),
    "frozen": (freeze, [0.25, 0.5, 1]),
    "reversed": (reverse, [0.1, 0.3, 1]),
    "noise": (noise, [5, 15, 40]),
    "blur": (blur, [3, 5, 9]),
    "flicker": (flick, [0.05, 0.15, 0.4]),
    "content changes": (swap, [0.1, 0.3, 1]),
    "missing colours": (drop, [5, 3, 1]),
    "duplicates": (dup, [2, 5, 20]),
    "copies": (copies, [0.1, 0.3, 1]),
}
out = {}
cost = dict.fromkeys(fam, 0.0)
cost["extract"] = 0
n = 0
for name, (make, levels) in faults.items():
    for level in levels:
        x, y = make(level)
        row = {}
        ms = {f: registry.families()[f].build(st, N) for f in fam}
        for a in range(0, N, 245):
            b = slice(a, a + 245)
            t = time.process_time()
            s = st.extractor(x[b])
            cost["extract"] += time.process_time() - t
            feats = Features(s.features, s.probabilities, y[b], x[b], y[b])
            for f in fam:
                t = time.process_time()
                ms[f].update(feats)
                cost[f] += time.process_time() - t
        for f in fam:
            t = time.process_time()
            v = ms[f].compute()
            iv = ms[f].intervals()
            cost[f] += time.process_time() - t
            for k, val in v.items():
                row[k] = (val, *iv.get(k, (float("nan"),) * 2), ms[f].higher_is_better[k])
        n += N
        out.setdefault(name, []).append((level, row))
        print(name, level, {k: round(v[0], 4) for k, v in row.items()}, flush=True)
        Path(sys.argv[1]).write_text(json.dumps({"out": out, "cost": {k: v / n * 1000 for k, v in cost.items()}}))
