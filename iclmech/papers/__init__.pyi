"""The public names, written once."""

from ._catalogue import ELSEWHERE as ELSEWHERE, paper_table as paper_table
from ._paper import Asking as Asking, Paper as Paper, PaperClaim as PaperClaim, Reading as Reading
from ._reproduce import list_papers as list_papers, reproduce as reproduce
from ._reproduction import Reproduction as Reproduction
from ._request import REPRODUCE as REPRODUCE, ReproduceRequest as ReproduceRequest
