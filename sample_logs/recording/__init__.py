"""Servers, clients and attackers of the recorded sample logs."""
