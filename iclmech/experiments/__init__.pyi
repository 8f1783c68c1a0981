"""The public names of the experiments, written once."""

from ._allocation import Allocation as Allocation, attention_allocation as attention_allocation
from ._calibration import calibration_table as calibration_table
from ._calibration_request import CalibrationRequest as CalibrationRequest
from ._calibration_result import CalibrationTable as CalibrationTable
from ._command import command_of as command_of, request_of as request_of
from ._dual_form import DualForm as DualForm, dual_form as dual_form
from ._experiment import Experiment as Experiment, Given as Given
from ._facts import facts_as_gradients as facts_as_gradients
from ._facts_request import FactsRequest as FactsRequest
from ._facts_result import FactsComparison as FactsComparison
from ._heads_result import HeadsThatMatter as HeadsThatMatter
from ._heads_that_matter import heads_that_matter as heads_that_matter
from ._history import TrainingHistory as TrainingHistory, training_history as training_history
from ._induction_heads import InductionHeads as InductionHeads, induction_heads as induction_heads
from ._inference_circuit._circuit_of import inference_circuit as inference_circuit
from ._inference_circuit._plan import CircuitError as CircuitError
from ._inference_circuit._request import BYPASSES as BYPASSES, EDGES as EDGES, CircuitRequest as CircuitRequest
from ._inference_circuit._result import Circuit as Circuit
from ._known import list_experiments as list_experiments, load as load
from ._momentum import Momentum as Momentum, momentum_attention as momentum_attention
from ._order import OrderSensitivity as OrderSensitivity, order_sensitivity as order_sensitivity
from ._order_request import OrderRequest as OrderRequest
from ._published import Published as Published, published as published
from ._request import (
    ExperimentError as ExperimentError,
    ModelTaskRequest as ModelTaskRequest,
    Request as Request,
    seeds_of as seeds_of,
)
from ._selection import compare_selections as compare_selections
from ._selection_request import SelectionRequest as SelectionRequest
from ._selection_result import SelectionComparison as SelectionComparison
from ._tuning import TunedContexts as TunedContexts, tuned_contexts as tuned_contexts
from ._tuning_request import TuningRequest as TuningRequest
from .comparison._compare import compare as compare
from .comparison._control import Control as Control, Trial as Trial
from .comparison._interval_names import interval_name as interval_name
from .comparison._plan import CompareError as CompareError
from .comparison._request import CompareRequest as CompareRequest
from .comparison._result import Comparison as Comparison
from .comparison._roster import Contrast as Contrast, Entry as Entry, Roster as Roster
from .comparison._titles import (
    comparison_title as comparison_title,
    contrast_title as contrast_title,
    control_title as control_title,
    setting_title as setting_title,
    update_short as update_short,
    update_title as update_title,
)
from .patching._patch import patch as patch
from .patching._result import Patch as Patch
from .steering._protocol import steer as steer
from .steering._request import SteerRequest as SteerRequest
from .steering._result import Steering as Steering
