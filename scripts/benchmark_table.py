"""Print the README's table of benchmarks, from the benchmarks' own files. Usage: python scripts/benchmark_table.py."""

from stbench.data.benchmarks.overview import as_markdown

print(as_markdown(), end="")
