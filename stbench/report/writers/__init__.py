"""Writers of reports: Markdown, CSV, LaTeX, HTML and terminal tables."""
