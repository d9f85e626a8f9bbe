"""Observations, actions and pictures in time: recordings of runs and their report. No arm, no model."""
