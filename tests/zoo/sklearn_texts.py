"""scikit-learn's text models: words and characters, on texts in many scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder
from sklearn.svm import LinearSVC
from xgboost import XGBClassifier

from . import data
from .case import Case, ask_estimator, trained

if TYPE_CHECKING:
    from collections.abc import Callable

    from .case import Answer, Fitted

WORDS = (
    "good", "Bad", "FAIR", "price", "the", "of", "not", "never", "naïve", "été", "ÉTÉ", "größe",
    "GRÖSSE", "ΟΔΟΣ", "İstanbul", "東京", "हिन्दी", "don't", "e-mail", "x", "42", "a_b", "½",
    "\N{SEEDLING}", "cafe\u0301",
)  # fmt: skip
BETWEEN = (" ", " ", " ", "  ", "\n", ", ", ". ", "\u00a0", "-", "", "\t\t")


def remarks(n: int, seed: int) -> pd.DataFrame:
    """Words of several scripts, in any letters, with anything between them; some are empty."""
    rng = np.random.default_rng(seed)
    pieces = [rng.choice(WORDS, rng.integers(0, 15)) for _ in range(n)]
    return pd.DataFrame(
        {"remark": ["".join(w + rng.choice(BETWEEN) for w in words) for words in pieces]}
    )


def rated(n: int, seed: int) -> pd.DataFrame:
    """Texts beside a category and a number."""
    rng = np.random.default_rng(seed)
    return remarks(n, seed).assign(
        shop=rng.choice(["north", "south", ""], n), stars=rng.normal(3, 1, n).round(1)
    )


def texts(make: Callable[[], Any], target: Any = data.yes_no) -> Callable[[], Fitted]:
    """A model that is called with texts alone, and published with a table of one column."""

    def ask(model: Any, rows: pd.DataFrame) -> Answer:
        return ask_estimator(model, rows["remark"])

    return trained(
        make, remarks, target, ask=ask, fit=lambda model, X, y: model.fit(X["remark"], y)
    )


def classified(*steps: Any) -> Callable[[], Any]:
    return lambda: make_pipeline(*steps, LogisticRegression(max_iter=300))


def mixed(**options: Any) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("words", TfidfVectorizer(**options), "remark"),
            ("shop", OneHotEncoder(handle_unknown="ignore"), ["shop"]),
        ],
        remainder="passthrough",
    )


TEXTS = (
    Case("sklearn-tfidf", texts(classified(TfidfVectorizer()))),
    Case(
        "sklearn-tfidf-sequences",
        texts(classified(TfidfVectorizer(ngram_range=(1, 3), sublinear_tf=True, min_df=2))),
    ),
    Case(
        "sklearn-tfidf-stop-words",
        texts(
            classified(TfidfVectorizer(ngram_range=(2, 3), stop_words=["the", "of"], norm="l1"))
        ),
        why="a sequence reaches over the words that are taken out",
    ),
    Case(
        "sklearn-tfidf-accents",
        texts(classified(TfidfVectorizer(strip_accents="unicode", token_pattern=r"\b\w+\b"))),
    ),
    Case(
        "sklearn-tfidf-ascii",
        texts(classified(TfidfVectorizer(strip_accents="ascii", use_idf=False))),
    ),
    Case(
        "sklearn-tfidf-as-written",
        texts(
            lambda: make_pipeline(
                TfidfVectorizer(lowercase=False, token_pattern=r"\S+"), LinearSVC()
            )
        ),
    ),
    Case(
        "sklearn-tfidf-latin-letters",
        texts(lambda: make_pipeline(TfidfVectorizer(token_pattern="[a-z]+"), Ridge()), data.number),
    ),
    Case(
        "sklearn-tfidf-characters",
        texts(classified(TfidfVectorizer(analyzer="char", ngram_range=(1, 3)))),
    ),
    Case(
        "sklearn-tfidf-characters-of-words",
        texts(classified(TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)))),
        why="a word that is shorter than all sequences counts as one",
    ),
    Case(
        "sklearn-tfidf-words-and-characters",
        texts(
            classified(
                make_union(
                    TfidfVectorizer(), CountVectorizer(analyzer="char_wb", ngram_range=(2, 3))
                )
            )
        ),
    ),
    Case(
        "sklearn-counts-bayes",
        texts(lambda: make_pipeline(CountVectorizer(), MultinomialNB()), data.three),
    ),
    Case(
        "sklearn-counts-weighted-bayes",
        texts(lambda: make_pipeline(CountVectorizer(), TfidfTransformer(), ComplementNB())),
    ),
    Case(
        "sklearn-counts-binary-bayes",
        texts(lambda: make_pipeline(CountVectorizer(binary=True), BernoulliNB())),
    ),
    Case(
        "sklearn-counts-given-vocabulary",
        texts(classified(CountVectorizer(vocabulary=["good", "bad", "the price", "x", "GOOD"]))),
        why="terms that no text can have keep their columns",
    ),
    Case(
        "sklearn-tfidf-components",
        texts(classified(TfidfVectorizer(), TruncatedSVD(4, random_state=0))),
    ),
    Case(
        "sklearn-tfidf-best",
        texts(classified(TfidfVectorizer(), SelectKBest(k=8), MaxAbsScaler())),
    ),
    Case(
        "sklearn-tfidf-forest",
        texts(lambda: make_pipeline(TfidfVectorizer(), RandomForestClassifier(10, random_state=0))),
    ),
    Case(
        "sklearn-tfidf-xgboost",
        texts(
            lambda: make_pipeline(CountVectorizer(), XGBClassifier(n_estimators=10)), data.zero_one
        ),
        why="a word that is not there is a missing value to XGBoost",
    ),
    Case(
        "sklearn-tfidf-calibrated",
        texts(lambda: CalibratedClassifierCV(make_pipeline(TfidfVectorizer(), LinearSVC()), cv=3)),
    ),
    Case(
        "sklearn-tfidf-mixed",
        trained(
            lambda: make_pipeline(mixed(), LogisticRegression(max_iter=300)), rated, data.three
        ),
    ),
)  # fmt: skip
