"""stbench's own method plugins, one folder each; found through entry points like anybody's."""
