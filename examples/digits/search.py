"""How well a support vector machine reads handwritten digits: 1797 scanned ones (UCI, 8 x 8 pixels, in scikit-learn)."""

from sklearn.datasets import load_digits
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

FOLDS, ROUNDS = 3, 2


def score(C, gamma, seed):
    """One block: mean accuracy over three folds, shuffled twice by the block's seed."""
    pixels, digits = load_digits(return_X_y=True)
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=ROUNDS, random_state=seed % 2**32)
    each = cross_val_score(SVC(C=C, gamma=gamma), pixels, digits, cv=folds, n_jobs=1)
    return {"accuracy": float(each.mean()), "spread": float(each.std())}
