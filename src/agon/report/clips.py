"""Clips on the page: generated and real ones playing beside each other, time slices, contents × motions."""

from __future__ import annotations

from agon.report.film import Film, Frame, Moving
from agon.report.frame import picture, playing
from agon.report.markup import Markup, h, quiet


def clips_section(pictures: Film, columns: str) -> Markup:
    """What of a run's clips is shown beside its contact sheets. columns: what the columns of the grids are, in words."""
    told = "The newest grid, at the data's own rate." + (f" {columns}" if columns else "")
    parts = [
        _beside(_moving(pictures.playing, "Generated clips playing", told), _moving(pictures.real_playing, "Real clips playing", "Real clips.")),
        _beside(
            _view(pictures.slices, "Time slices of generated clips", _SLICES), _view(pictures.real_slices, "Time slices of real clips", "Real clips.")
        ),
    ]  # fmt: skip
    if pictures.swap is not None:
        parts.append(_beside(_moving(pictures.swap, "Contents and motions exchanged", _SWAP)))
    else:
        parts.append(quiet("The table of contents × motions is made when the run ends, of games that keep the two apart."))
    return h("div", *parts, class_="clips")


_SLICES = (
    "Time slices: of each clip the row and the column of pixels that change most, time downwards. What stands still draws upright lines, steady "
    "motion slanted ones; flicker is a ladder, drift a change of colour downwards."
)
_SWAP = (
    "Content × motion: the first column lends its content, the first row its motion, and each cell shows the one with the other's, all under "
    "one condition. Where the two are kept apart, a row keeps its looks and a column its movement."
)


def _moving(film: Moving | None, alt: str, text: str) -> Markup | None:
    return None if film is None else h("figure", playing(film, alt), h("figcaption", text))


def _view(frame: Frame | None, alt: str, text: str) -> Markup | None:
    return None if frame is None else h("figure", picture(frame, alt, "grid"), h("figcaption", text))


def _beside(*figures: Markup | None) -> Markup | None:
    there = [figure for figure in figures if figure is not None]
    return h("div", there, class_="pair") if there else None
