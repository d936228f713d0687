"""Acquisition quality: flow rate, stability of signals, ends of the scales. Drops nothing itself."""
