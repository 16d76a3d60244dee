#!/usr/bin/env bash
# Paper-size Atari for as long as a GPU is at hand: examples/atari_for_minutes.sh MINUTES GAME...
#
# Trains each of the games for so many minutes, on from where the last call stopped, and scores it as far as it came.
# Figures and tables in figures/atari_gpu/VARIANT show all games so far beside the published scores.
# Environment variables change what is done: VARIANT (m3, or no-perceptual, which needs no files of LPIPS), SEED (0),
# EPISODES of a score (16), DEVICE (auto). Call it in the repository's folder, with its environment activated.
set -euo pipefail
trap 'exit 130' INT TERM # else the next game would begin

if (($# < 2)); then
    echo "usage: $0 MINUTES GAME..., for example $0 60 Breakout Pong" >&2
    exit 2
fi
variant=${VARIANT:-m3} seed=${SEED:-0} device=${DEVICE:-auto}
snapshots=build/snapshots/atari_gpu/$variant
figures=figures/atari_gpu/$variant

for game in "${@:2}"; do
    names=(--benchmark atari100k --variant "$variant" --task "$game" --seed "$seed")
    config=$(python -m m3 resolve --experiment config/atari_gpu.yaml "${names[@]}")
    run=$(dirname "$config") snapshot=$snapshots/$game/seed-$seed status=0
    options=(--device "$device" --budget-minutes "$1" --no-media)
    python -m m3 train --config "$config" --run "$run" "${options[@]}" || status=$?
    ((status == 0 || status == 3)) || exit "$status" # 3: its minutes are over
    python -m m3 snapshot --run "$run" --output "$snapshot"
    python -m m3 evaluate --run "$snapshot" --episodes "${EPISODES:-16}" --device "$device"
done

scored=("$snapshots"/*/seed-*/scores.h5)
label=$(sed -n 's/^label: //p' "config/variants/$variant.yaml")
statistics=(--scores "$snapshots/scores.h5" --aggregates "$snapshots/aggregates.h5")
python -m m3 collect --benchmark atari100k --published results/published --scores both \
    --runs "${scored[@]%/scores.h5}" --labels "$variant=$label" --output "$snapshots/scores.h5"
python -m m3 aggregate --scores "$snapshots/scores.h5" --repetitions 2000 \
    --output "$snapshots/aggregates.h5" --csv "$snapshots/aggregates.csv"
python -m m3 figures "${statistics[@]}" --output "$figures" --only own_curves tasks
python -m m3 tables "${statistics[@]}" --output "$figures"
