"""What the trainer and the app share: energies, sampling, checkpoints.

Conventions, obeyed everywhere (see CONTRIBUTING.md):
``p(x)`` is proportional to ``exp(-E(x))``, so low energy means likely and samplers walk downhill;
images are float32 ``(B, C, H, W)`` in ``[0, 1]``; energies are float32 ``(B,)``.
"""

import os

# Threads that share an operation wait for each other at its end. GNU OpenMP, with which torch computes on Linux, lets
# them spin for milliseconds first; where something else is busy on the same cores, the one that is waited for has no
# core, and every step takes ten times as long. A few microseconds are enough on an idle machine (benchmarks/crowd.md).
# It is read when torch is imported, so this stands before everything that does. Who has set it, knows better.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
