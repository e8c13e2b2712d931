"""Servers that speak the services' real wire protocol, for trial, tests and training.

Each service's `simulator.py` is built from the service's documentation alone and shares no code with the
connector's mapping. What they share with each other is here: HTTP, faults on request, and a control interface.
"""
