"""Settings that Prefect must see before it is imported; whoever imports it goes through `flows.prefect_flows`, which imports this first."""

import os

for _name, _value in {
    "DO_NOT_TRACK": "1",  # no telemetry of the client
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # nor of the server
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # patience with a slow machine
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # errors are told once, by us
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}.items():
    os.environ.setdefault(_name, _value)
