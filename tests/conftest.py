"""What holds for all tests: how much of the random ones is drawn."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from .rounds import rounds

# Neither how long an example takes nor how long drawing it takes says anything while others use
# the processor too; how long a test takes is pytest-timeout's to say.
settings.register_profile(
    "gateway",
    max_examples=rounds(30, 300),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gateway")
