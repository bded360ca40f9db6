"""HTML, style, plots, wording and URLs that all pages share."""
