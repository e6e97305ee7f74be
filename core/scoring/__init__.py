"""The scorers: the only list of them. Adding one is a file here, a line below and a weight in `config`.

Importing this package imports neither torch nor scikit-learn; torch is imported when a network is trained.
"""

from core.errors import WorkbenchError
from core.scoring.autoencoder import AutoencoderScorer
from core.scoring.density import DensityScorer
from core.scoring.knn import KnnScorer
from core.scoring.likelihood import LikelihoodScorer
from core.scoring.mlp_head import MlpHeadScorer
from core.scoring.novelty import NoveltyScorer
from core.scoring.one_class import OneClassScorer
from core.scoring.scorer import BaseScorer
from core.scoring.severity import SeverityScorer
from core.scoring.shape import ShapeScorer
from core.scoring.tfidf import TfidfScorer

SCORERS: dict[str, type[BaseScorer]] = {
    scorer.name: scorer
    for scorer in (
        MlpHeadScorer,
        KnnScorer,
        DensityScorer,
        AutoencoderScorer,
        OneClassScorer,
        LikelihoodScorer,
        NoveltyScorer,
        TfidfScorer,
        ShapeScorer,
        SeverityScorer,
    )
}
"""Name to class; the order of columns everywhere."""


def scorer_class(name: str) -> type[BaseScorer]:
    """The scorer of this name.

    Raises:
        WorkbenchError: where there is none.
    """
    if name not in SCORERS:
        raise WorkbenchError(f"unknown scorer {name!r}; known: {', '.join(SCORERS)}")
    return SCORERS[name]
