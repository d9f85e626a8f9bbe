"""What a model learns from a batch: flow and next-token losses, the groups of parameters, schedules, adapters."""
