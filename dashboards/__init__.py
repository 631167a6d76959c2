"""Grafana dashboards as code: rendered from the measurement schema, never edited by hand."""
