"""What every page works with: the queries, the job store, and the addresses under the URL prefix."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from dash import dcc, html

from vaefrag.jobs.job_store import JobStore
from vaefrag.queries import OpenAnalysis, Queries
from vaefrag_core.config import Measure

FULL_VIEW_PIXELS = 800  # longer side of the picture of a whole matrix
CELL_PIXELS = 56  # side of an image in a traversal, at the least
SMALL_CELL_PIXELS = 28  # the same of two traversals side by side


@dataclass(frozen=True)
class Site:
    """The queries, the job store and the addresses.

    Args:
        queries: what pages may ask.
        prefix: the path under which the site is served; begins and ends with a slash.
        job_store: the jobs of the workspace.
        data_folders: the folders whose files pages may have read as data sets.
    """

    queries: Queries
    prefix: str
    job_store: JobStore
    data_folders: tuple[Path, ...] = ()

    @property
    def jobs(self) -> str:
        """Path of the list of jobs."""
        return f"{self.prefix}jobs"

    def job(self, job_id: str) -> str:
        """Path of a job's page."""
        return f"{self.prefix}jobs/{quote(job_id)}"

    def new(self, like: str = "") -> str:
        """Path of the form for a new ensemble, filled in as another one was."""
        return f"{self.prefix}new" + (f"?{urlencode({'from': like})}" if like else "")

    def ensemble(self, ensemble_id: str) -> str:
        """Path of an ensemble's page."""
        return f"{self.prefix}ensemble/{quote(ensemble_id)}"

    def certificate(self, ensemble_id: str) -> str:
        """Path of an ensemble's certificate."""
        return f"{self.prefix}certificate/{quote(ensemble_id)}"

    def atlas(self, sweep_id: str) -> str:
        """Path of the atlas of a sweep."""
        return f"{self.prefix}atlas/{quote(sweep_id)}"

    def combine(self, ensemble_id: str = "", channels: Sequence[str] = ()) -> str:
        """Path of the page that combines channels, beginning with some of an ensemble."""
        fields = {"channels": f"{ensemble_id}:{','.join(channels)}"} if channels else {}
        return f"{self.prefix}combine" + (f"?{urlencode(fields, safe=',:;', quote_via=quote)}" if fields else "")

    def combine_set(self, set_id: str) -> str:
        """Path of a saved set."""
        return f"{self.prefix}combine?{urlencode({'set': set_id})}"

    def set_file(self, set_id: str) -> str:
        """URL of a saved set's posteriors file."""
        return f"{self.prefix}data/sets/{quote(set_id)}.npz"

    def fuse(self, ensemble_id: str) -> str:
        """Path of the form that fuses an ensemble's members."""
        return f"{self.prefix}fuse/{quote(ensemble_id)}"

    def fusion(self, fusion_id: str) -> str:
        """Path of a fused space's page."""
        return f"{self.prefix}fusion/{quote(fusion_id)}"

    def matrix(self, analysis: OpenAnalysis, measure: Measure, dead: bool, pixels: int = FULL_VIEW_PIXELS) -> str:
        """URL of the picture of a whole matrix."""
        return f"{self.tiles(analysis, measure, dead)}&px={pixels}"

    def tiles(self, analysis: OpenAnalysis, measure: Measure, dead: bool) -> str:
        """URL of the picture of a part of a matrix, but for the part."""
        fields = {"dead": int(dead), "v": analysis.version}
        return f"{self.prefix}data/matrix/{quote(analysis.ensemble_id)}/{measure}/tile.png?{urlencode(fields)}"

    def values(self, analysis: OpenAnalysis, measure: Measure, dead: bool) -> str:
        """URL of the exact values of one pair, but for the pair."""
        fields = {"dead": int(dead), "v": analysis.version}
        return f"{self.prefix}data/matrix/{quote(analysis.ensemble_id)}/{measure}/pair.json?{urlencode(fields)}"

    def traversal(self, analysis: OpenAnalysis, channel: int, *, flip: bool, cell: int, base: int | None = None) -> str:
        """URL of a channel's traversal; of one base image, or of all."""
        fields = {"flip": int(flip), "cell": cell, "v": analysis.version} | ({} if base is None else {"base": base})
        name = analysis.names[channel]
        return f"{self.prefix}data/traversals/{quote(analysis.ensemble_id)}/{name}.png?{urlencode(fields)}"

    def base_images(self, analysis: OpenAnalysis, *, cell: int, base: int | None = None) -> str:
        """URL of the images that traversals start from; of one, or of all."""
        fields = {"cell": cell, "v": analysis.version} | ({} if base is None else {"base": base})
        return f"{self.prefix}data/traversals/{quote(analysis.ensemble_id)}/base.png?{urlencode(fields)}"

    def error_page(self, notice: html.Section) -> html.Div:
        """Return the content of a page that has only a notice, with a link back to the list."""
        back = html.P(dcc.Link("All ensembles", href=self.prefix, className="button"))
        return html.Div([notice, back], className="narrow")
