"""The rules of the house, kept by reading the source: who may know whom, who may step, how long a file may be."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "agon"
FILES = sorted(SOURCE.rglob("*.py"))

LAYERS = {
    "errors": 0, "records": 0, "schedule": 0, "optim": 0, "spaces": 0, "ranks": 0, "stats": 0, "config": 0, "props": 0, "device": 0, "flops": 0, "trust": 0,
    "augment": 1, "backbones": 1, "decoding": 1, "estimators": 1, "languages": 1, "overlap": 1,
    "losses": 1, "penalties": 1, "likelihoods": 1, "view": 1, "layers": 1, "networks": 1, "game": 1,
    "games": 2, "data": 2, "metrics": 2,
    "engine": 3,
    "applied": 4, "directory": 4, "conditions": 4, "curve": 4, "known": 4, "latent": 4, "sampling": 4, "samplefile": 4, "standing": 4,
    "firsts": 4, "clips": 4, "guards": 4,
    "health": 4, "hooks": 4, "nearby": 4, "run": 4, "trained": 4, "recipes": 4, "report": 4,
    "export": 4, "testing": 4, "transfer": 4, "recovery": 4, "scoring": 4, "study": 4, "sweep": 4, "comparison": 4, "speed": 4, "catalogue": 4, "reproduce": 4,
    "cli": 5, "progress": 5, "demonstration": 5, "__main__": 5, "__init__": 5,
}  # fmt: skip
FORBIDDEN = {
    "games": {"data", "metrics", "ranks", "stats", "engine"},
    "metrics": {"games", "engine", "ranks"},
    "data": {"games", "engine", "ranks"},
    "engine": {"losses", "penalties", "layers", "networks", "games", "spaces", "data", "metrics"},
}


def part_of(path: Path) -> str:
    """The first name below `agon`: the noun a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Parts of Agon that a file imports at run time, anywhere in it."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(node) for block in ast.walk(tree) if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for child in block.body for node in ast.walk(child)
    }  # fmt: skip
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "agon":
            words = (node.module or "").split(".")
            found |= {words[1]} if len(words) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("agon.")}
    return found & LAYERS.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_layers(path: Path) -> None:
    part = part_of(path)
    assert part in LAYERS, f"{part} has no layer; add it to LAYERS in this test and its sentence in CONTRIBUTING.md"
    for other in imports(path) - {part}:
        assert LAYERS[other] <= LAYERS[part], f"{part} (layer {LAYERS[part]}) imports {other} (layer {LAYERS[other]})"
        assert other not in FORBIDDEN.get(part, set()), f"{part} may not know {other}"


def test_only_the_engine_steps() -> None:
    """backward, optimiser steps, freezing, collectives and autocast happen in one file; collectives in ranks.

    The one exception is the classifier that scores pictures: it is a measuring instrument, trained outside any game.
    """
    words = {
        ".backward(": {"engine.py"}, "optimiser.step(": {"engine.py"}, "optimizer.step(": {"engine.py"}, "zero_grad(": {"engine.py"},
        "requires_grad_(": {"engine.py"}, "all_reduce(": {"ranks.py"}, ".autocast(": {"engine.py"},
    }  # fmt: skip
    for path in FILES:
        name = str(path.relative_to(SOURCE))
        if name == "metrics/classifier.py":
            continue
        text = path.read_text("utf-8")
        for word, allowed in words.items():
            assert word not in text or name in allowed, f"{name} calls {word}; only {', '.join(allowed)} may"


def test_no_pickle_no_eval() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                assert not {a.name for a in node.names} & {"pickle", "dill", "cloudpickle", "joblib", "torchvision"}, path
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "pickle.load", "pickle.loads"), f"{path} calls {called}"
                if called == "torch.load":
                    assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords), path
                if called in ("np.load", "numpy.load"):
                    assert not any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords), path


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_file_is_one_noun(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 450, f"{path.name} has {len(text.splitlines())} lines; a file is one noun, at most 450"
    assert path.stem not in ("utils", "misc", "helpers", "helper", "manager", "common")
    assert path.name == "__main__.py" or (ast.get_docstring(ast.parse(text)) or ""), f"{path} has no docstring"


def test_inheritance_is_shallow() -> None:
    """No class of ours inherits from one of ours that itself inherits from one of ours; abstract or final."""
    parents: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                parents[node.name] = [ast.unparse(b).split(".")[-1].split("[")[0] for b in node.bases]
    for name, bases in parents.items():
        for base in bases:
            assert not any(b in parents for b in parents.get(base, [])) or base in ("InputError",), f"{name} inherits twice, through {base}"


def test_every_game_is_a_frozen_dataclass_with_a_paper() -> None:
    from agon import games
    from agon.testing import check_json

    for name in games.names():
        cls = games.find(name)
        assert cls.__dataclass_params__.frozen, name  # type: ignore[attr-defined]
        check_json(cls())
        doc = inspect.getmodule(cls).__doc__ or ""  # type: ignore[union-attr]
        assert "arXiv:" in doc, f"games/{name}.py cites no paper"
        assert "Differs" in doc, f"games/{name}.py does not say what differs"
        assert {"optim", "ema"} <= {f.name for f in fields(cls)}


def test_light_imports() -> None:
    """`import agon` and the command line's help bring in neither torch nor numpy nor pydantic."""
    code = "import agon, agon.cli, sys; print([m for m in ('torch', 'numpy', 'pydantic', 'PIL') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_names_of_test_files_are_unique() -> None:
    """pytest imports them by their bare names: two of one name stop the whole suite, and only the whole suite."""
    names = [path.name for path in (SOURCE.parents[1] / "tests").rglob("*.py") if path.name not in ("conftest.py", "__init__.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_torchvision_is_absent() -> None:
    import importlib.util

    assert importlib.util.find_spec("torchvision") is None, "torchvision breaks torch's CPU build; nothing may bring it in"
