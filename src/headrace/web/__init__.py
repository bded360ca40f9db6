"""Web: HTML, style, plots, wording and addresses that all pages share."""
