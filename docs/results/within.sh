#!/usr/bin/env bash
# Train every loss from seeds 0, 1 and 2, finished runs aside, one after the other.
#     docs/results/within.sh PRESET OUT [settings of lac.train]
# for instance: docs/results/within.sh grid runs/grid --data.root DIR
# Then: python -m lac.compare OUT/* -o OUT
set -euo pipefail
preset=$1 out=$2
shift 2

full="--model.loss.weight 0.1" light="--model.loss.weight 0.03"
losses=(
    "scl SclLoss"
    "lac-none LacLoss --model.loss.alignment none $full"
    "lac-score LacLoss --model.loss.alignment score $full"
    "lac-score-light LacLoss --model.loss.alignment score $light"
    "lac-fixed LacLoss --model.loss.alignment score $full --model.loss.penalties fixed"
    "lac-fenchel_young LacLoss --model.loss.alignment fenchel_young $full"
    "lac-fenchel_young-light LacLoss --model.loss.alignment fenchel_young $light"
    "lac-table LacLoss --model.loss.alignment fenchel_young $full --model.loss.penalties table"
    "lac-embedding LacLoss --model.loss.alignment fenchel_young $full --model.loss.penalties embedding"
    "lac-posterior_kl LacLoss --model.loss.alignment posterior_kl $full"
    "tcc-regression TccLoss"
    "tcc-classification TccLoss --model.loss.cycle classification"
    "tcn TcnLoss"
    "lav LavLoss"
    "gta GtaLoss"
)
for seed in 0 1 2; do
    for loss in "${losses[@]}"; do
        read -r name class settings <<< "$loss"
        # shellcheck disable=SC2086  # settings are words
        python -m lac.train --config "$preset" --run "$out/$name-$seed" --seed_everything "$seed" \
            --model.loss "lac.losses.$class" $settings "$@" < /dev/null
    done
done
