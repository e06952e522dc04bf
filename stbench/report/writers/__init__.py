"""Write a report as Markdown, CSV, LaTeX, HTML or terminal tables."""
