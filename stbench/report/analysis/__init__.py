"""Analysis of collected runs: tables, tests, audits and series, independent of output formats."""
