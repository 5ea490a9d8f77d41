"""The index of papers: every page is in it, and its grid of legal choices is what `why_not` says.

After a new loss, penalty or network, or newly published scores: `python tests/test_papers.py` writes the grid and the pages' last lines anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from agon.catalogue import rows
from agon.games.gan import why_not
from agon.losses import Logistic, Loss, Relativistic
from agon.networks import families
from agon.networks.dcgan import DCGAN
from agon.penalties import R1, AnyPenalty

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "papers"
INDEX = FOLDER / "README.md"
BEGIN, END = "<!-- grid -->", "<!-- end of grid -->"


# Equation numbers that were looked up in a paper's text; elsewhere a section is cited. A new number belongs here once it has been seen.
SEEN = {
    "Goodfellow et al. 2014": "1", "arXiv:1801.04406": "9 10", "arXiv:1704.00028": "3", "arXiv:1802.05957": "8 12 16 17",
    "Miyato et al. 2018": "16 17", "1406.2661": "1", "the same paper": "10",
}  # fmt: skip


def choices() -> tuple[list[tuple[str, Any]], list[tuple[str, tuple[AnyPenalty, ...]]], list[tuple[str, Any]]]:
    """Losses, penalties and networks by name, each kind once."""
    losses: list[tuple[str, Any]] = [(cls.__dataclass_fields__["kind"].default, cls()) for cls in get_args(Loss)]
    losses += [("relativistic, averaged", Relativistic(averaged=True))]
    found = [(cls.__dataclass_fields__["kind"].default, (cls(),)) for cls in get_args(AnyPenalty)]
    nets = {cls.__dataclass_fields__["kind"].default: cls() for cls in families()}
    named = [(kind, net) for kind, net in nets.items() if kind != "dcgan"]
    named += [(f"dcgan, {norm} norm".replace("none norm", "no norm"), DCGAN(critic_norm=norm)) for norm in ("batch", "spectral", "none")]  # type: ignore[arg-type]
    return losses, [("nothing", ()), *found, ("r1 lazily", (R1(every=16),))], sorted(named, key=lambda pair: pair[0])


def grid() -> str:
    """Two tables, and the reasons of the cells that are numbered."""
    losses, penalties, nets = choices()
    reasons: list[str] = []

    def cell(loss: Any, chosen: tuple[AnyPenalty, ...], net: Any) -> str:
        reason = why_not(loss, chosen, net)
        if reason is None:
            return "✓"
        reason = re.sub(rf"'{re.escape(net.kind)}'", "this network", reason)
        if chosen:
            reason = re.sub(rf"^'{re.escape(chosen[0].kind)}'", "it", reason)
        if reason not in reasons:
            reasons.append(reason)
        return f"{reasons.index(reason) + 1}"

    def table(head: str, columns: list[str], lines: list[tuple[str, list[str]]]) -> list[str]:
        return [f"| {head} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"] + [
            f"| {name} | " + " | ".join(cells) + " |" for name, cells in lines
        ]

    spectral = DCGAN(critic_norm="spectral")
    bare = DCGAN(critic_norm="none")
    names = [name for name, _ in penalties]
    out = ["Losses × penalties, on a critic without normalisation:", ""]
    out += table("loss", names, [(name, [cell(loss, chosen, bare) for _, chosen in penalties]) for name, loss in losses])
    out += ["", "The same, on a spectrally normalised critic:", ""]
    out += table("loss", names, [(name, [cell(loss, chosen, spectral) for _, chosen in penalties]) for name, loss in losses])
    out += ["", "Networks × penalties, with any loss but Wasserstein:", ""]
    out += table("network", names, [(name, [cell(Logistic(), chosen, net) for _, chosen in penalties]) for name, net in nets])
    return "\n".join([*out, "", *(f"{number}. {reason[0].upper()}{reason[1:]}" for number, reason in enumerate(reasons, 1))])


def numbers(page: Path) -> str:
    """The last line of a page: where figures stand, and the published rows of its recipes."""
    line = re.search(rf"\]\({re.escape(page.name)}\) \| ([^|]+) \|", INDEX.read_text("utf-8"))
    recipes = re.findall(r"`([a-z0-9-]+)`", line[1]) if line else []
    told = []
    for row in sorted((r for r in rows() if r.recipe in recipes), key=lambda r: (recipes.index(r.recipe), r.set)):
        beside = "".join(f", {figure}" for figure in row.beside if figure.name not in ("precision", "recall"))
        seeds = "one seed" if row.score.sd is None else f"{len(row.seeds)} seeds"
        told.append(f"{row.name} {row.score}{beside} ({seeds}, {row.figures['cpu_seconds']:.0f} CPU-s)")
    return "Numbers: docs/benchmarks.md" + (f". Of `agon recipes`: {'; '.join(told)}." if told else "")


def test_pages_tell_the_published_scores() -> None:
    for page in sorted(set(FOLDER.glob("*.md")) - {INDEX}):
        assert page.read_text("utf-8").splitlines()[-1] == numbers(page), f"{page.name}: run `python tests/test_papers.py`"


def test_the_grid_is_what_why_not_says() -> None:
    text = INDEX.read_text("utf-8")
    assert text.split(BEGIN)[1].split(END)[0].strip() == grid(), "run `python tests/test_papers.py`"


def test_every_page_is_in_the_index() -> None:
    pages = {path.name for path in FOLDER.glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([a-z0-9-]+\.md)\)", INDEX.read_text("utf-8")))


@pytest.mark.parametrize("path", sorted(set(FOLDER.glob("*.md")) - {INDEX}), ids=lambda p: p.stem)
def test_a_page_cites_compares_and_runs(path: Path) -> None:
    """Its paper, what differs, a command whose recipe exists, and names of code that exist."""
    import importlib

    from agon import recipes

    text = path.read_text("utf-8")
    assert "arXiv:" in text
    assert "**What differs.**" in text
    assert "Numbers: docs/benchmarks.md" in text
    assert set(re.findall(r"--recipe ([a-z0-9-]+)", text)) <= set(recipes.table())
    assert "agon train" in text
    for part, name in re.findall(r"`(losses|penalties|props|optim|networks\.\w+|layers\.\w+)\.(\w+)", text):
        found = importlib.import_module(f"agon.{part}")
        assert hasattr(found, name) or importlib.util.find_spec(f"agon.{part}.{name}"), f"agon.{part} has no {name}"


SOURCES = [*sorted((FOLDER.parents[1] / "src").rglob("*.py")), *sorted(FOLDER.glob("*.md"))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_cited_equation_numbers_have_been_looked_up(path: Path) -> None:
    """`eq. 3` in a docstring, `| (3), …` in a page: only with a paper in the same paragraph (page) whose equation of that number was read."""
    text = path.read_text("utf-8")
    for part in [text] if path.suffix == ".md" else re.split(r"\n\s*\n|\"\"\"|\n\|", text):
        rows_ = re.findall(r"^\| \((\d+)\)", part, re.M) if path.suffix == ".md" else re.findall(r"^  \((\d+)\)  ", part, re.M)
        for number in [*rows_, *(n for group in re.findall(r"\beqs?\. ([\d, -]+\d|\d)", part) for n in re.findall(r"\d+", group))]:
            cited = text if number in rows_ else part
            assert any(paper in cited and number in seen.split() for paper, seen in SEEN.items()), (
                f"{path.name} cites equation {number}; look it up and add it to SEEN, or cite the section"
            )


if __name__ == "__main__":
    text = INDEX.read_text("utf-8")
    INDEX.write_text(f"{text.split(BEGIN)[0]}{BEGIN}\n{grid()}\n{END}{text.split(END)[1]}", "utf-8")
    for page in sorted(set(FOLDER.glob("*.md")) - {INDEX}):
        lines = page.read_text("utf-8").rstrip("\n").split("\n")
        assert lines[-1].startswith("Numbers: docs/benchmarks.md"), f"{page.name} must end with its line of numbers"
        page.write_text("\n".join([*lines[:-1], numbers(page)]) + "\n", "utf-8")
