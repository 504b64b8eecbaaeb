"""Constants of colour that everything else shares."""

from __future__ import annotations

LUMA_REC601 = (0.299, 0.587, 0.114)
"""Weights of sRGB-encoded red, green and blue in luma (ITU-R BT.601)."""
