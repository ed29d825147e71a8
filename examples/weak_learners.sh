#!/bin/sh
# What many weak learners know together: 24 members of one channel on sprites, of one and of two on Fashion-MNIST, fused
# into spaces of ten channels by the default objective and at a price per bit; an hour of two cores.
# docs/reproduction.md shows what came out. They go into the folder data, or where VAEFRAG_WORKSPACE says.
set -eu

learners() {
    vaefrag train --dataset "$1" --channels "$2" --architecture mlp --widths 32 --members 24 --steps 800 \
        --batch-size 32 --learning-rate 0.003 --beta 2 --fingerprint-size 400 --json \
        | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])'
}
fused() {
    vaefrag fuse "$@" --steps 500 --restarts 2
}

sprites=$(learners sprites-32 1)
fused "$sprites" --dimension 10
fused "$sprites" --dimension 10 --objective information-bottleneck --price 1.5
fused "$sprites" --dimension 10 --objective information-bottleneck --price 3
fused "$sprites" --dimension 10 --objective information-bottleneck --price 6
fused "$sprites" --dimension 6 --objective information-bottleneck --price 1.5

clothes=$(learners fashion-mnist 1)
fused "$clothes" --dimension 10
fused "$clothes" --dimension 10 --objective information-bottleneck --price 1.5
fused "$clothes" --dimension 10 --objective information-bottleneck --price 6

wider=$(learners fashion-mnist 2)
fused "$wider" --dimension 10
fused "$wider" --dimension 10 --objective information-bottleneck --price 3
