#!/usr/bin/env bash
# What 3-coupling.yaml has recorded, against the acceptance of row 3. Exit code 1 where something of it does not hold.
set -euo pipefail
source "$(dirname "$0")/../../deploy/lib.sh"
export PATH=$CHERRY_ROOT/build/release/bin:$PATH

# A line for each probe: selector batch seed gamma ceiling predicted measured.
probes() {
  local selector batch seed
  for selector in random rule; do
    for batch in 4 16 64; do
      for seed in 1 2 3; do
        cherry metrics "r3-$selector-$batch-$seed" -o csv |
          awk -F, -v job="$selector $batch $seed" '
            $1 ~ /^coupling\// { value[$1, $2] = $3; steps[$2] = 1 }
            END {
              for (step in steps)
                print job, value["coupling/cosine", step], value["coupling/random_cosine", step],
                  value["coupling/predicted", step], value["coupling/measured", step]
            }'
      done
    done
  done
}

probes | awk '
  { job = $1 " " $2; sum[job] += $4; ceiling[job] += $5; n[job]++
    if ($4 < 0) negative[job]++
    if ($1 == "random") { of_seed[$2, $3] += $4; if ($4 <= 0) below++ }
    if ($6 * $7 > 0) right[job]++ }
  function verdict(what, holds) { print (holds ? "holds " : "FAILS ") " " what; if (!holds) failed = 1 }
  END {
    printf "%-8s %5s %7s %8s %8s %9s %14s\n", "selector", "batch", "probes", "gamma", "ceiling", "negative", "sign predicted"
    split("random rule", selectors, " "); split("4 16 64", batches, " ")
    for (s = 1; s <= 2; s++) for (b = 1; b <= 3; b++) {
      job = selectors[s] " " batches[b]
      if (!n[job]) { print "no probes of " job; exit 1 }
      printf "%-8s %5d %7d %8.3f %8.3f %8.0f%% %13.0f%%\n", selectors[s], batches[b], n[job], sum[job] / n[job],
        ceiling[job] / n[job], 100 * negative[job] / n[job], 100 * right[job] / n[job]
      all += n[job]; signs += right[job]
    }
    rising = 1
    for (seed = 1; seed <= 3; seed++)
      rising = rising && of_seed[4, seed] < of_seed[16, seed] && of_seed[16, seed] < of_seed[64, seed]
    verdict("gamma of random is above 0 at every probe (" below + 0 " are not)", !below)
    verdict("and rises with the batch, for every seed", rising)
    verdict("the sign of the prediction is that of the change in 80 % of probes (" sprintf("%.0f", 100 * signs / all) " %)",
            signs >= 0.8 * all)
    exit failed
  }'
