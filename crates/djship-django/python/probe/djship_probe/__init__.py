"""Asks a Django project what it needs, by importing its settings under a recording environment."""
