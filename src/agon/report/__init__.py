"""Reports: a run directory → one self-contained HTML page. Reads files only; never imports torch.

journal (what the files say) → curves (charts), film (sample grids) → page (HTML by markup, with page.css and page.js inlined)
"""

from __future__ import annotations

from agon.report.page import write_report

__all__ = ["write_report"]
