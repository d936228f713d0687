"""Gating plans and their application to events."""
