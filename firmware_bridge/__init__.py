"""Targets in, servo frames out: everything between a policy's chunk and the arm's bus.

Outside rooms use `firmware_bridge.client` only (plus `messages` and `errors`). Nothing happens on import.
"""
