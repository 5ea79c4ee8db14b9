"""How fast the Langevin step, the training step and the live view are, against a straightforward implementation."""
