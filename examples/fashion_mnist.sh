#!/bin/sh
# Ten members of the paper's network on Fashion-MNIST at β = 4, and their hotspots: a quarter of an hour on two cores.
# They go into the folder data, or where VAEFRAG_WORKSPACE says.
#
# Reference: Murphy, K. A., Dillavou, S., Bassett, D. S. (2024). https://arxiv.org/abs/2405.21042
set -eu

vaefrag train --preset murphy-2024-fashion --members 10 --steps 2500
