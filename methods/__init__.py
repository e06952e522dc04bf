"""The method plugins of stbench, one folder each, registered through entry points as any third-party method."""
