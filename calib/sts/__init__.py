"""Calibrating arms of STS3215 servos: sweeps, zeros, and their EEPROM as a transaction."""
