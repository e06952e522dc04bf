"""Moving digits (embedded; needs no files): card and protocols."""
