"""Rendered pictures of objects whose labels are known."""
