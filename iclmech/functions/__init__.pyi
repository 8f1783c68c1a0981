"""The public names of the functions wing, written once."""

from . import predictors as predictors
from ._answers import layer_lens as layer_lens, predict as predict
from ._automata import Automata as Automata
from ._boolean import (
    Conjunctions as Conjunctions,
    Parities as Parities,
    TeachingSequences as TeachingSequences,
)
from ._diversity import TaskDiversity as TaskDiversity, task_diversity as task_diversity
from ._errors import FunctionError as FunctionError
from ._family import Family as Family
from ._family_names import family_name as family_name, family_of as family_of
from ._features import Fourier as Fourier, Representation as Representation, Sequential as Sequential
from ._gaussian_posterior import GaussianMixture as GaussianMixture, Posterior as Posterior
from ._hypotheses_posterior import Hypotheses as Hypotheses
from ._linear import LinearRegression as LinearRegression
from ._linear_attention import LinearAttention as LinearAttention, linear_attention as linear_attention
from ._ngram_heads import NgramHeads as NgramHeads, ngram_heads as ngram_heads
from ._optimal_rates import (
    best_rates as best_rates,
    optimal_eta as optimal_eta,
    optimal_step as optimal_step,
    shifted_risk as shifted_risk,
)
from ._pasting import Pasting as Pasting, pasting as pasting
from ._predictors_compared import PredictorComparison as PredictorComparison, compare_predictors as compare_predictors
from ._priors import Mixture as Mixture, SparseRegression as SparseRegression, TaskPool as TaskPool
from ._prompts import FunctionPrompts as FunctionPrompts
from ._recipe import FunctionRecipe as FunctionRecipe, list_recipes as list_recipes, recipe_of as recipe_of
from ._regret import Regret as Regret, regret as regret
from ._shifted import Shifted as Shifted, out_of_distribution as out_of_distribution
from ._trained_attention import train_linear_attention as train_linear_attention
from ._training import train as train
from ._updates_compared import compare_updates as compare_updates
from ._updates_result import FunctionUpdates as FunctionUpdates
from ._vocabulary import vocabulary_of as vocabulary_of
from ._weights_implied import ImplicitWeights as ImplicitWeights, implicit_weights as implicit_weights
from ._weights_probed import WeightProbe as WeightProbe, probe as probe
