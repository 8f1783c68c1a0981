"""The public names of the wing, written once."""

from ._clamped import Clamped as Clamped, clamped as clamped
from ._clamps import (
    Clamp as Clamp,
    ablate as ablate,
    clamp_of as clamp_of,
    copy as copy,
    match as match,
    perfect_layer as perfect_layer,
    previous_token as previous_token,
    random_pattern as random_pattern,
)
from ._classes import Classes as Classes
from ._feed import Forget as Forget
from ._forgetting import Forgetting as Forgetting, forgetting as forgetting
from ._hidden_lead import HiddenLead as HiddenLead, hidden_lead as hidden_lead
from ._history import StackHistory as StackHistory
from ._labelled_sequences import Sequences as Sequences
from ._net_shape import Net as Net
from ._phase_diagram import PhaseDiagram as PhaseDiagram, phase_diagram as phase_diagram
from ._progress import ProgressMeasures as ProgressMeasures, progress_measures as progress_measures
from ._relabelled import Relabelled as Relabelled
from ._requests import (
    CLAMPED as CLAMPED,
    FORGETTING as FORGETTING,
    PHASE_DIAGRAM as PHASE_DIAGRAM,
    PROGRESS_MEASURES as PROGRESS_MEASURES,
    TASK_DIVERSITY as TASK_DIVERSITY,
    THREE_FACTOR as THREE_FACTOR,
    TRAIN as TRAIN,
    ClampedRequest as ClampedRequest,
    ForgettingRequest as ForgettingRequest,
    PhaseRequest as PhaseRequest,
    ProgressRequest as ProgressRequest,
    TasksRequest as TasksRequest,
    ThreeFactorRequest as ThreeFactorRequest,
    TrainRequest as TrainRequest,
)
from ._similarity import (
    SimilarityOverTraining as SimilarityOverTraining,
    similarity_over_training as similarity_over_training,
)
from ._snapshot_requests import (
    HIDDEN_LEAD as HIDDEN_LEAD,
    SIMILARITY as SIMILARITY,
    SUPPORTIVE as SUPPORTIVE,
    LeadRequest as LeadRequest,
    SimilarityRequest as SimilarityRequest,
    SupportiveRequest as SupportiveRequest,
)
from ._supportive import Supportive as Supportive, supportive as supportive
from ._task_diversity import TaskDiversity as TaskDiversity, tasks as tasks
from ._task_world import Tasks as Tasks
from ._three_factor import ThreeFactor as ThreeFactor, factor_loss as factor_loss, three_factor as three_factor
from ._tokens import Tokens as Tokens
from ._train import History as History, train as train
from ._world import World as World, world_of as world_of
