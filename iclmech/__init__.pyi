"""The public names, written once: what `iclmech/__init__.py` loads when it is asked for it, and what type checkers see."""

from . import (
    analysis as analysis,
    calibration as calibration,
    context_tuning as context_tuning,
    dynamics as dynamics,
    figures as figures,
    functions as functions,
    interventions as interventions,
    mini as mini,
    papers as papers,
    selection as selection,
    vectors as vectors,
)
from ._accuracy import accuracy as accuracy
from ._base import (
    ICLMechError as ICLMechError,
    ICLMechWarning as ICLMechWarning,
    Measure as Measure,
    Result as Result,
    Update as Update,
    register as register,
)
from .analysis import circuit as circuit, metrics as metrics, statistics as statistics
from .captures import Activations as Activations, capture as capture
from .experiments import (
    CalibrationTable as CalibrationTable,
    Circuit as Circuit,
    Comparison as Comparison,
    Control as Control,
    Experiment as Experiment,
    FactsComparison as FactsComparison,
    OrderSensitivity as OrderSensitivity,
    Patch as Patch,
    Request as Request,
    SelectionComparison as SelectionComparison,
    Steering as Steering,
    TunedContexts as TunedContexts,
    attention_allocation as attention_allocation,
    calibration_table as calibration_table,
    compare as compare,
    compare_selections as compare_selections,
    dual_form as dual_form,
    facts_as_gradients as facts_as_gradients,
    heads_that_matter as heads_that_matter,
    induction_heads as induction_heads,
    inference_circuit as inference_circuit,
    list_experiments as list_experiments,
    load as load,
    momentum_attention as momentum_attention,
    order_sensitivity as order_sensitivity,
    patch as patch,
    published as published,
    steer as steer,
    training_history as training_history,
    tuned_contexts as tuned_contexts,
)
from .models import (
    ICLModel as ICLModel,
    WeightsView as WeightsView,
    list_models as list_models,
    load_model as load_model,
    weights_view as weights_view,
)
from .papers import Reproduction as Reproduction, list_papers as list_papers, reproduce as reproduce
from .report import write_report as write_report
from .sweeps import Sweep as Sweep, sweep as sweep
from .tasks import (
    PromptSet as PromptSet,
    Task as Task,
    build_prompts as build_prompts,
    list_tasks as list_tasks,
    load_task as load_task,
)
from .updates import (
    WeightUpdate as WeightUpdate,
    gradient_descent as gradient_descent,
    layer_causal_gd as layer_causal_gd,
)

__version__: str
