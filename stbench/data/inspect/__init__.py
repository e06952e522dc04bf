"""What ``stbench data check`` and ``stbench data preview`` do."""
