"""Acquisition quality: flow rate, stability of signals, ends of scales. Drops nothing itself."""
