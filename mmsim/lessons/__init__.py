"""What the notebooks teach with.

`teaching` has the devices: a question that the model answers, a prediction, a check, a hint.  One module a
lesson holds its questions: each public function of it makes a `Question` from a random generator, and the
answer comes from a machine that ran.  `copies` keeps a reader's own copies of the notebooks.
"""

from .teaching import Question, ask, check, hint, predict, reveal, show_source, table

__all__ = ["Question", "ask", "check", "hint", "predict", "reveal", "show_source", "table"]
