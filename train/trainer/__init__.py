"""The trainer: a step, the loop around it, what is saved and resumed, one process or many."""
