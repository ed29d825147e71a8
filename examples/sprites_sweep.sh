#!/bin/sh
# Fragments of sprites against β: an ensemble for each of five values, and the atlas that follows their hotspots.
# The study whose setting this is took 300,000 steps at Adam 1e-4, and 50 members for each value; here it is cut short.
# They go into the folder data, or where VAEFRAG_WORKSPACE says.
#
# Reference: Locatello, F., et al. (2019). Challenging common assumptions in the unsupervised learning of
# disentangled representations. https://arxiv.org/abs/1811.12359
set -eu

vaefrag train --preset locatello-2019 --beta 1,2,4,8,16 --learning-rate 1e-3 --members 5 --steps 2000
