"""What the zoo has, read without torch: every recipe's name, title and paper, and the scores that ship with the package.

A recipe's card is read from the source of its file: the literals in `RECIPES = (Recipe(name=…, title=…, paper=…, build=…), …)`. So a recipe is
still one file, and `agon recipes` answers without importing a single network. Scores come from recipes/scores.json, which
`python benchmarks/publish.py` gathers from the benchmarks' results.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from types import MappingProxyType
from typing import Any

from agon.errors import InputError, suggest

FOLDER = Path(__file__).parent / "recipes"
SCORES = FOLDER / "scores.json"
FORMAT = 2
# Figures of a result that are averaged over seeds, and those that all seeds share. A seed's result says `seen` (training samples: pictures, clips, sentences).
AVERAGED = ("floor", "precision", "recall", "density", "coverage", "seen", "cpu_seconds", "seen_per_cpu_second", "memory_mb")
SHARED = ("batch", "conditional", "content_hash", "torch", "machine")


@dataclass(frozen=True, kw_only=True)
class Card:
    """A recipe's name, what it is, and its paper."""

    name: str
    title: str
    paper: str


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A score over seeds, by the name it has in docs/benchmarks.md."""

    name: str
    mean: float
    sd: float | None  # sample standard deviation; None with one seed

    def __str__(self) -> str:
        if self.sd is None:
            return f"{self.name} {self.mean:.{4 if self.mean >= 1000 else 3}g}"
        digits = 4 if self.sd < 0.005 * abs(self.mean) else 3
        return f"{self.name} {self.mean:.{digits}g} ± {self.sd:.2g}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A published row: a recipe on a set over seeds.

    score: what is told first; beside: what it must not be read without. figures: means over seeds, and what they share; each: figures by seed.
    command: what plays it again in a checkout, where `agon reproduce` does not; None where it does.
    """

    set: str
    recipe: str
    score: Figure
    figures: Mapping[str, Any]
    each: Mapping[str, Mapping[str, Any]]
    beside: tuple[Figure, ...] = ()
    command: str | None = None

    @property
    def name(self) -> str:
        """SET/RECIPE."""
        return f"{self.set}/{self.recipe}"

    @property
    def seeds(self) -> list[int]:
        """The seeds it was measured with."""
        return sorted(map(int, self.each))

    def to_json(self) -> dict[str, Any]:
        """The row as scores.json holds it."""
        return asdict(self)


def cards() -> list[Card]:
    """Every recipe of the package, in the order of `recipes.table()`."""
    files = sorted((p for p in FOLDER.glob("*.py") if p.stem != "__init__"), key=lambda p: (p.stem != "images", p.stem))
    return list({card.name: card for path in files for card in _cards_in(path.read_text("utf-8"), path.name)}.values())


def _cards_in(source: str, where: str) -> list[Card]:
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == "RECIPES" and isinstance(node, ast.Assign | ast.AnnAssign):
            assert isinstance(node.value, ast.Tuple | ast.List), f"recipes/{where}: RECIPES must be a plain tuple of Recipe(…) calls"
            return [_card(entry, where) for entry in node.value.elts]
    raise AssertionError(f"recipes/{where} has no RECIPES at its top level")


def _card(entry: ast.expr, where: str) -> Card:
    assert isinstance(entry, ast.Call), f"recipes/{where}: every entry of RECIPES must be a Recipe(…) call"
    told = {k.arg: k.value.value for k in entry.keywords if isinstance(k.value, ast.Constant)}
    missing = {"name", "title", "paper"} - told.keys()
    assert not missing, (
        f"recipes/{where}: a Recipe's {', '.join(sorted(missing))} must be written as plain text, so that it is read without torch"
    )
    return Card(name=str(told["name"]), title=str(told["title"]), paper=str(told["paper"]))


# -- scores --------------------------------------------------------------------------------------------------------------------------


def rows(path: Path = SCORES) -> list[Row]:
    """The published rows, by set, in the order they were gathered in; [] without a file."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    assert content["format"] == FORMAT, f"{path} has format {content['format']}, expected {FORMAT}"
    return [
        Row(**entry | {"score": Figure(**entry["score"]), "beside": tuple(Figure(**figure) for figure in entry["beside"])})
        for entry in content["rows"]
    ]


def row(name: str, path: Path = SCORES) -> Row:
    """The published row SET/RECIPE. Raises InputError, with a suggestion."""
    known = {r.name: r for r in rows(path)}
    if name not in known:
        listing = ", ".join(known) if known else "none yet"
        raise InputError(
            f"row '{name}' is not published; expected SET/RECIPE, one of: {listing}.{suggest(name, known)} See `agon recipes`."
        )
    return known[name]


def gather(
    results: Iterable[Mapping[str, Any]],
    *,
    score: str = "fd",
    name: str = "FD",
    beside: Mapping[str, str] = MappingProxyType({"precision": "precision", "recall": "recall"}),
    higher_is_better: bool = False,
) -> list[Row]:
    """Results of single seeds as rows, by set, best first.

    A result has its set, recipe, seed, date, cpu_seconds and the scores, and what else of AVERAGED and SHARED it knows; `agon.reproduce.figures`
    gives one. score, beside: the keys of the scores, with their names; a score that a seed lacks is left out of `beside`. A result's `command` is
    the row's.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["set"], result["recipe"]), []).append(result)
    found = []
    for (set_name, recipe), group in groups.items():
        group = sorted(group, key=lambda r: r["seed"])
        figures: dict[str, Any] = {k: mean(r[k] for r in group) for k in AVERAGED if all(r.get(k) is not None for r in group)}
        figures |= {k: _same([r[k] for r in group]) for k in SHARED if all(k in r for r in group)}
        if all("parameters" in r for r in group):
            figures["parameters"] = sum(group[0]["parameters"].values())
        figures["date"] = max(r["date"] for r in group)
        if all("commit" in r for r in group):
            figures["commit"] = ", ".join(dict.fromkeys(r["commit"] for r in group))
        kept = ("rounds", "planned_rounds", "cpu_seconds", "protocol")
        found.append(
            Row(
                set=set_name,
                recipe=recipe,
                score=_over(group, score, name),
                beside=tuple(_over(group, key, told) for key, told in beside.items() if all(r.get(key) is not None for r in group)),
                figures=figures,
                each={str(r["seed"]): {"score": r[score], **{k: r.get(k) for k in kept}} for r in group},
                command=group[0].get("command"),
            )
        )
    return sorted(found, key=lambda r: (r.set, -r.score.mean if higher_is_better else r.score.mean))


def _over(group: Sequence[Mapping[str, Any]], key: str, name: str) -> Figure:
    values = [r[key] for r in group]
    return Figure(name=name, mean=mean(values), sd=stdev(values) if len(values) > 1 else None)


def _same(values: list[Any]) -> Any:
    """The one value all seeds share, or all of them in words where they differ."""
    distinct = list(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else ", ".join(map(str, distinct))


def write_rows(found: Iterable[Row], path: Path = SCORES) -> Path:
    """Write scores.json."""
    from agon.records import atomic_write

    return atomic_write(path, json.dumps({"format": FORMAT, "rows": [r.to_json() for r in found]}, indent=1, ensure_ascii=False) + "\n")
