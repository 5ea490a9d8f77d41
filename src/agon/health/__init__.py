"""The doctor: watches a run from cheap statistics, names what goes wrong, says what was seen and which command helps.

`vitals` and `motion` measure, `samples`, `clips`, `critics` and `inputs` hold the signs by where they show, `remedies` writes commands, `Doctor` keeps a run's
history. Everything here observes: the random state is forked and no parameter changes. docs/doctor.md lists each sign and its blind spots.
"""

from agon.health.contract import Patient, Sign, Vitals, told
from agon.health.doctor import Doctor
from agon.health.signs import CHECKS, examine

__all__ = ["CHECKS", "Doctor", "Patient", "Sign", "Vitals", "examine", "told"]
