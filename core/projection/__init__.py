"""Where messages lie on a map, what lies together there, and where a new one would."""

from core.projection.clusters import MOST_AT_ONCE, clusters, titled
from core.projection.layouts import MAX_POINTS, METHODS, project
from core.projection.placing import place

__all__ = ["MAX_POINTS", "METHODS", "MOST_AT_ONCE", "clusters", "place", "project", "titled"]
