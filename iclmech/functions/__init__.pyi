"""The public names of the functions wing, written once."""

from ._errors import FunctionError as FunctionError
from ._family import Family as Family
from ._linear import LinearRegression as LinearRegression
from ._prompts import FunctionPrompts as FunctionPrompts
