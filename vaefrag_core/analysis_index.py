"""Where the results of an ensemble's newest analysis lie: `analysis/latest.json`."""

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from vaefrag_core.config import AnalysisConfig, Config, Measure, content_key


class AnalysisIndex(Config):
    """The settings of an analysis, and the folders within `analysis/` that hold its results."""

    config: AnalysisConfig
    posteriors_key: str
    matrix: str
    hotspots: dict[Measure, str]
    maps: dict[Measure, str]
    traversals: str | None = None
    stability: str | None = None
    over_training: str | None = None
    null_tests: dict[Measure, str] = Field(default_factory=dict)
    inside: str | None = None

    @property
    def key(self) -> str:
        """Name the analysis by all but its `null_tests`, which change nothing that is derived from it."""
        content = self.model_dump(mode="json")
        content.pop("null_tests", None)
        return content_key(content)

    @model_serializer(mode="wrap")
    def _without_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not there: the keys of such analyses are older than these fields."""
        content: dict[str, Any] = dump(self)
        for name in ("over_training", "null_tests", "inside"):
            if not getattr(self, name):
                content.pop(name, None)
        return content
