#!/bin/sh
# What many weak learners know together: 24 members of one channel on sprites, of one and of two on Fashion-MNIST, fused
# into spaces of ten channels by the default objective and at a price per bit; an hour of two cores.
# An ensemble's id follows from its settings. docs/reproduction.md shows what came out. They go into the folder data, or
# where VAEFRAG_WORKSPACE says.
set -eu

vaefrag train --dataset sprites-32 --channels 1 --architecture mlp --widths 32 --members 24 --steps 800 --batch-size 32 --learning-rate 0.003 --beta 2 --fingerprint-size 400
vaefrag fuse sprites-32-beta-vae-2-7cb825ce --dimension 10 --steps 500 --restarts 2
vaefrag fuse sprites-32-beta-vae-2-7cb825ce --dimension 10 --steps 500 --restarts 2 --objective information-bottleneck --price 1.5
vaefrag fuse sprites-32-beta-vae-2-7cb825ce --dimension 10 --steps 500 --restarts 2 --objective information-bottleneck --price 3
vaefrag fuse sprites-32-beta-vae-2-7cb825ce --dimension 10 --steps 500 --restarts 2 --objective information-bottleneck --price 6
vaefrag fuse sprites-32-beta-vae-2-7cb825ce --dimension 6 --steps 500 --restarts 2 --objective information-bottleneck --price 1.5

vaefrag train --dataset fashion-mnist --channels 1 --architecture mlp --widths 32 --members 24 --steps 800 --batch-size 32 --learning-rate 0.003 --beta 2 --fingerprint-size 400
vaefrag fuse fashion-mnist-beta-vae-2-10e9ca0f --dimension 10 --steps 500 --restarts 2
vaefrag fuse fashion-mnist-beta-vae-2-10e9ca0f --dimension 10 --steps 500 --restarts 2 --objective information-bottleneck --price 1.5
vaefrag fuse fashion-mnist-beta-vae-2-10e9ca0f --dimension 10 --steps 500 --restarts 2 --objective information-bottleneck --price 6

vaefrag train --dataset fashion-mnist --channels 2 --architecture mlp --widths 32 --members 24 --steps 800 --batch-size 32 --learning-rate 0.003 --beta 2 --fingerprint-size 400
vaefrag fuse fashion-mnist-beta-vae-2-b815a6a2 --dimension 10 --steps 500 --restarts 2
vaefrag fuse fashion-mnist-beta-vae-2-b815a6a2 --dimension 10 --steps 500 --restarts 2 --objective information-bottleneck --price 3
