"""Seeded, believable B2B journeys as native events, in arrival order."""
