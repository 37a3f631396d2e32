"""A busy machine is no failure: hypothesis measures no time here. Each test ends by pytest's own limit."""

from hypothesis import HealthCheck, settings

settings.register_profile("lockgate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lockgate")
