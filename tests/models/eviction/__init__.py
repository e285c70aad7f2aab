"""Eviction: policies, slots, sessions."""
