"""/jobs: all that is trained, analysed and fused in the workspace, and who works on it."""

from dash import dcc, html

from vaefrag.pages import job_polling
from vaefrag.pages.job_polling import poll_components
from vaefrag.pages.job_views import JobViews
from vaefrag.pages.page import Page, PageRequest, RenderedPage
from vaefrag.pages.site import Site


def page(site: Site, request: PageRequest) -> RenderedPage:
    """Show the jobs, the newest first, and who works on them."""
    views = JobViews(site)
    jobs = views.listed_jobs()  # read before they are drawn: what changes in between is drawn again
    new = dcc.Link("New ensemble", href=site.new(), className="button primary")
    heading = html.Div([html.Div([html.H1("Jobs"), views.part("engine")]), new], className="heading heading-row")
    workers = html.Section([html.H2("Workers"), views.part("workers")], className="card")
    content = [heading, html.Section(views.part("list"), className="card"), workers, *poll_components(jobs)]
    return RenderedPage(html.Div(content, className="wide stack"), "Jobs")


PAGE = Page("jobs", page, (job_polling.register,), link="Jobs")
