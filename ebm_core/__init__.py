"""What the trainer and the app share: energies, sampling, checkpoints.

Conventions, obeyed everywhere (see CONTRIBUTING.md):
``p(x)`` is proportional to ``exp(-E(x))``, so low energy means likely and samplers walk downhill;
images are float32 ``(B, C, H, W)`` in ``[0, 1]``; energies are float32 ``(B,)``.
"""
