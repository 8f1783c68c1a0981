"""The public names of the functions wing, written once."""

from ._answers import layer_lens as layer_lens, predict as predict
from ._errors import FunctionError as FunctionError
from ._family import Family as Family
from ._family_names import family_name as family_name, family_of as family_of
from ._linear import LinearRegression as LinearRegression
from ._prompts import FunctionPrompts as FunctionPrompts
from ._recipe import FunctionRecipe as FunctionRecipe, list_recipes as list_recipes, recipe_of as recipe_of
from ._training import train as train
from ._vocabulary import vocabulary_of as vocabulary_of
