"""What if: own questions, at real size.  A `Scenario` is a question, `sweep` asks it in many variants."""

from . import answer
from .report import FIGURES, Run
from .scenario import Scenario, ScenarioError, scenarios
from .sweeps import sweep

__all__ = ["FIGURES", "Run", "Scenario", "ScenarioError", "answer", "scenarios", "sweep"]
