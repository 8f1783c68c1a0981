"""The public names, written once."""

from ._calls import call as call, each as each, task_for as task_for
from ._catalogue import ELSEWHERE as ELSEWHERE, paper_table as paper_table
from ._paper import Asking as Asking, Paper as Paper, PaperClaim as PaperClaim, Reading as Reading
from ._readings import (
    claimed as claimed,
    in_every_run as in_every_run,
    over_seeds as over_seeds,
    unpaired as unpaired,
    valued as valued,
    variable as variable,
)
from ._reproduce import list_papers as list_papers, reproduce as reproduce
from ._reproduction import Reproduction as Reproduction
from ._request import REPRODUCE as REPRODUCE, ReproduceRequest as ReproduceRequest
