"""Evaluations; each writes a JSON report and a figure."""
