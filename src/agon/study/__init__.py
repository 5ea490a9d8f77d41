"""Human evaluation: studies as files, and what their answers say. The page that shows the trials comes with the studio; the files are these.

make_study(runs, out)          stimuli, study.json (what is shown) and truth.json (what must not be)
read_study, read_responses     checked reading
score_study(folder, answers)   error rates, preferences, ratings, agreement
"""

from __future__ import annotations

from agon.study.analysis import score_study
from agon.study.format import Response, Study, Trial, read_responses, read_study
from agon.study.make import make_study

__all__ = ["Response", "Study", "Trial", "make_study", "read_responses", "read_study", "score_study"]
