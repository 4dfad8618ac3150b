#!/usr/bin/env bash
# Train losses, finished runs aside, one after the other: those that docs/results/losses.md compares,
# from five seeds, or those of docs/results/within.md, from three.
#     docs/results/losses.sh across|within OUT [settings of lac.train]
# for instance: docs/results/losses.sh across runs/grid --config grid --data.root DIR
# Then: python -m lac.compare OUT/* -o OUT
set -euo pipefail
which=$1 out=$2
shift 2

full="--model.loss.weight 0.1" light="--model.loss.weight 0.03"
across=(
    "across AcrossLoss"
    "contrastive LacLoss --model.loss.alignment none"
    "lac LacLoss"
    "published LacLoss --model.loss.alignment score $full"
    "across-3 AcrossLoss --model.loss.shift 3"
    "across-0 AcrossLoss --model.loss.shift 0"
    "across-global AcrossLoss --model.loss.shift 0 --model.loss.teacher global"
    "across-unordered AcrossLoss --model.loss.teacher dual_softmax"
)
within=(
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
case $which in
    across) losses=("${across[@]}") seeds="0 1 2 3 4" ;;
    within) losses=("${within[@]}") seeds="0 1 2" ;;
    *) echo "must be across or within, got $which" >&2 && exit 2 ;;
esac
for seed in $seeds; do
    for loss in "${losses[@]}"; do
        read -r name class settings <<< "$loss"
        # shellcheck disable=SC2086  # settings are words
        python -m lac.train "$@" --run "$out/$name-$seed" --seed_everything "$seed" \
            --model.loss "lac.losses.$class" $settings < /dev/null
    done
done
