"""Flux: notes, spoken to as PostgREST behind the Flux gateway or directly."""
