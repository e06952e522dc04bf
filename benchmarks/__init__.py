"""The benchmarks that come with stbench: one folder each, data only."""
