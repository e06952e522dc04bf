"""Dataset readers: the plugins of the entry-point group ``stbench.datasets`` that stbench ships."""
