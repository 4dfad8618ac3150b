#!/usr/bin/env bash
# Train the losses that docs/results/losses.md compares from five seeds, finished runs aside.
#     docs/results/losses.sh OUT [settings of lac.train]
# for instance: docs/results/losses.sh runs/grid --config grid --data.root DIR
# Then: python -m lac.compare OUT/* -o OUT
set -euo pipefail
out=$1
shift

losses=(
    "across AcrossLoss"
    "contrastive LacLoss --model.loss.alignment none"
    "lac LacLoss"
    "published LacLoss --model.loss.alignment score --model.loss.weight 0.1"
    "across-3 AcrossLoss --model.loss.shift 3"
    "across-0 AcrossLoss --model.loss.shift 0"
    "across-global AcrossLoss --model.loss.shift 0 --model.loss.teacher global"
    "across-unordered AcrossLoss --model.loss.teacher dual_softmax"
)
for seed in 0 1 2 3 4; do
    for loss in "${losses[@]}"; do
        read -r name class settings <<< "$loss"
        # shellcheck disable=SC2086  # settings are words
        python -m lac.train "$@" --run "$out/$name-$seed" --seed_everything "$seed" \
            --model.loss "lac.losses.$class" $settings < /dev/null
    done
done
