"""Scores of many pictures: a model calibrated on held-out ones, and tables of files by one process or by many."""
