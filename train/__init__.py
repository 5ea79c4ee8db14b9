"""Offline training and evaluation: everything that needs data. Talks to the app only through model files."""
