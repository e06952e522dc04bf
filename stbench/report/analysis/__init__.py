"""Turn collected runs into tables, tests, audits and series; no format is known here."""
