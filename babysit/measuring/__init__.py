"""Instruments that two checks or more measure with."""
