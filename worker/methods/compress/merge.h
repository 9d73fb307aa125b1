// Builds a shallow model of a deep one, and the start of its loops (docs/methods.md).
//
// One rank, one thread. Torch's exceptions pass through.
#ifndef CHERRY_WORKER_METHODS_COMPRESS_MERGE_H_
#define CHERRY_WORKER_METHODS_COMPRESS_MERGE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/types/span.h"
#include "cherry/v1/job.pb.h"
#include "worker/methods/compress/grouping.h"
#include "worker/model/transformer.h"

namespace cherry::trainer {

// Called now and then by what may take many minutes for a large model.
using SignOfLife = std::function<void()>;

// The combinations of `compress.method` with this many layers. `calibration` are tokens [b, t] for the
// methods that look at states: drop, bi, rdsc.
std::vector<Combination> Combine(
    const v1::CompressConfig& compress, Transformer* source, absl::Span<const at::Tensor> calibration,
    const SignOfLife& alive = [] {});

// Weights of `target` from `source`: layer p by combinations[p], every visit of it with the norms of that
// layer, all else as it is. `aligned`: the FFN units and the heads of each layer are first put in the order
// in which they are most like those of the combination's first layer (Hungarian method on the inner products
// of their weights), which changes nothing that a layer computes. Gains, vectors and injections are left
// alone.
void MergeInto(
    const Transformer& source, absl::Span<const Combination> combinations, bool aligned, Transformer* target,
    const SignOfLife& alive = [] {});

// Gains for `rounds` rounds of each loop. identity: 1 in the first round, 0 in the others: the merged model
// itself. flow: c / n in each of n rounds of a layer that stands for c, so that the residual stream moves as
// far as before. lora: as flow.
enum class GainStart { kIdentity, kFlow, kLora };
void SetGains(GainStart start, absl::Span<const double> stands_for, int64_t rounds, Transformer* model);

// What start: lora adds: visit q of the Q in the first `rounds` rounds, where it is one of a loop, becomes
// like the source's layer ceil(q L / Q): it gets that layer's norms, and its product B A of lora_rank is the
// nearest to what the layer's matrices differ by from those it has (Bae et al., 2024). REQUIRES: MergeInto
// was called with the same combinations; a lora_rank.
void SetProducts(
    const Transformer& source, absl::Span<const Combination> combinations, bool aligned, int64_t rounds,
    Transformer* model, const SignOfLife& alive = [] {});

// From `before` rounds to `after`: identity adds rounds that do nothing yet, with the norms of the last;
// q takes what round q * before / after had, with before / after of its gains. A round that is not run yet
// has gains of 0, so that a model in the middle of its growth computes the same with all of its rounds.
// REQUIRES: before < after.
void GrowRounds(GainStart start, int64_t before, int64_t after, Transformer* model);

// How many source layers each target stands for: the size of its group where the method groups, else the run
// of layers from its lowest up to the next target's.
std::vector<double> StandsFor(const v1::CompressConfig& compress, absl::Span<const Combination> combinations,
                              int64_t source_layers);

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_METHODS_COMPRESS_MERGE_H_
