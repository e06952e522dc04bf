"""Search of settings at equal budget: ``stbench tune``."""
