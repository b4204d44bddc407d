"""A hypothesis profile for long runs: `pytest tests/fuzz --hypothesis-profile=long --timeout=0`."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "long", max_examples=4_000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
