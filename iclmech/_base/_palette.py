"""Colours that every figure shares.

Okabe and Ito's colour-blind-safe palette. Orange and purple are darkened, so that every line has a contrast of at least 3:1
with the light and with the dark background.
"""

from __future__ import annotations

BLUE, VERMILLION, GREEN, ORANGE, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#B87700", "#B8608F", "#808080"
SKY = "#3A8FC4"
