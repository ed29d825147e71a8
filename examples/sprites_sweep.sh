#!/bin/sh
# Fragments of sprites against β: an ensemble for each of five values, and the atlas that follows their hotspots. Networks
# without convolutions, so that the members of an ensemble train side by side: minutes instead of hours.
# They go into the folder data, or where VAEFRAG_WORKSPACE says. The setting of the study of 12,000 models, for a machine
# with a GPU: vaefrag train --preset locatello-2019 --beta 1,2,4,6,8,16
set -eu

vaefrag train --dataset sprites --architecture mlp --widths 128 --beta 1,2,4,8,16 --members 5 --steps 1500
