"""The predictors by name, written once."""

from ._by_name import PREDICTORS as PREDICTORS, applies as applies, predict as predict
from ._descent import gd as gd, gd_plus_plus as gd_plus_plus, gd_weights as gd_weights, newton as newton
from ._learning_rates import best_gd as best_gd, best_gd_plus_plus as best_gd_plus_plus
from ._least_squares import (
    averaging as averaging,
    averaging_weights as averaging_weights,
    mean_y as mean_y,
    ols as ols,
    ols_weights as ols_weights,
    ridge as ridge,
    ridge_weights as ridge_weights,
    zero as zero,
)
from ._neighbours import knn as knn
from ._ngrams import ngram as ngram
from ._posteriors import bayes as bayes, consistent as consistent, dmmse as dmmse
from ._scikit import boosting as boosting, lasso as lasso, tree as tree
