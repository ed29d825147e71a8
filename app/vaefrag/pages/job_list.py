"""/jobs: all that is trained, analysed and fused in the workspace, and who works on it."""

from dash import dcc, html

from vaefrag.pages import job_polling
from vaefrag.pages.job_polling import watch
from vaefrag.pages.job_views import JobViews
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.site import Site


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Show the jobs, the newest first, and who works on them."""
    board = JobViews(site)
    jobs = board.shown()
    new = dcc.Link("New ensemble", href=site.new(), className="button primary")
    heading = html.Div([html.Div([html.H1("Jobs"), board.part("engine")]), new], className="heading heading-row")
    workers = html.Section([html.H2("Workers"), board.part("workers")], className="card")
    content = [heading, html.Section(board.part("list"), className="card"), workers, *watch(board, jobs)]
    return RenderedPage(html.Div(content, className="wide stack"), "Jobs")


PAGE = Page("jobs", page, (job_polling.register,), link="Jobs")
