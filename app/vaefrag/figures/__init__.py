"""Arrays in, plotly figures and pictures out."""
