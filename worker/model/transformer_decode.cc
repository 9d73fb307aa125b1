#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "worker/model/transformer.h"

namespace cherry::trainer {

at::Tensor Transformer::DecodeLayer(const Layer& layer, const at::Tensor& x, const Rope& rope, size_t place,
                                    KvCache* cache) {
  const int64_t count = x.size(1);
  const int64_t known = cache->length + count;
  const Heads heads = Project(layer, x);
  cache->keys[place].narrow(1, cache->length, count).copy_(ApplyRope(heads.k, rope));
  cache->values[place].narrow(1, cache->length, count).copy_(heads.v);
  const at::Tensor attention =
      CachedAttention(ApplyRope(heads.q, rope), cache->keys[place].narrow(1, 0, known),
                      cache->values[place].narrow(1, 0, known));
  return Finish(layer, x, attention);
}

at::Tensor Transformer::DecodeStates(const at::Tensor& ids, KvCache* cache) {
  const at::NoGradGuard no_gradient;
  const int64_t count = ids.size(1);
  GrowCache(cache->length + count, layers_.size(), cache);
  const Rope rope = RopeAt(cache->length, count);
  at::Tensor x = at::embedding(Weight(embedding_), ids);
  at::Tensor before;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].round >= most_rounds_) {
      continue;
    }
    x = EnterRound(layers_[i], x, &before);
    x = DecodeLayer(layers_[i], x, rope, i, cache);
  }
  cache->length += count;
  return Norm(x, final_norm_);
}

at::Tensor Transformer::Decode(const at::Tensor& ids, int64_t rows, KvCache* cache) {
  const at::NoGradGuard no_gradient;
  const at::Tensor states = DecodeStates(ids, cache);
  return Logits(states.narrow(1, states.size(1) - rows, rows)).flatten(0, 1);
}

at::Tensor Transformer::DecodeChain(const at::Tensor& states, const at::Tensor& next_tokens, KvCache* cache) {
  const at::NoGradGuard no_gradient;
  const int64_t count = states.size(1);
  GrowCache(cache->length + count, 1, cache);
  const at::Tensor x =
      DecodeLayer(chain_, ChainInput(states, next_tokens), RopeAt(cache->length, count), 0, cache);
  cache->length += count;
  return Norm(x, chain_norm_);
}

void Transformer::GrowCache(int64_t positions, size_t places, KvCache* cache) const {
  constexpr int64_t kSmallest = 64;
  const int64_t have = cache->keys.empty() ? 0 : cache->keys[0].size(1);
  if (have >= positions) {
    return;
  }
  const int64_t capacity = std::max({positions, 2 * have, kSmallest});
  const at::TensorOptions options = at::TensorOptions().dtype(options_.compute).device(options_.device);
  const auto grow = [&](at::Tensor* buffer) {
    at::Tensor larger = at::zeros({1, capacity, shape_.kv_heads, shape_.head_dim()}, options);
    if (cache->length > 0) {
      larger.narrow(1, 0, cache->length).copy_(buffer->narrow(1, 0, cache->length));
    }
    *buffer = larger;
  };
  cache->keys.resize(places);
  cache->values.resize(places);
  for (size_t i = 0; i < places; ++i) {
    grow(&cache->keys[i]);
    grow(&cache->values[i]);
  }
}

}  // namespace cherry::trainer
