"""The paper's experiments on a data set of one's own: which pictures, by which methods, and how good they are.

`tasks` makes guides of held-out pictures, `trials` says what is tried on them, `running` edits all guides and measures
the results, cut anywhere and gone on with; `report` turns the numbers into a table, figures and a page.
"""

from sdedit_jax.evaluation.errors import EvaluationError
from sdedit_jax.evaluation.measuring import Measures
from sdedit_jax.evaluation.running import evaluate
from sdedit_jax.evaluation.tasks import Guides, make_guides
from sdedit_jax.evaluation.trials import Trial, plan

__all__ = ["EvaluationError", "Guides", "Measures", "Trial", "evaluate", "make_guides", "plan"]
