#include "common/nearest.h"

#include <algorithm>
#include <functional>
#include <map>

namespace cherry {
namespace {

int EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// What other tools call our fields.
const std::map<std::string, std::string, std::less<>>& Aliases() {
  static const auto* const aliases = new std::map<std::string, std::string, std::less<>>{
      {"lr", "learning_rate"},
      {"max_lr", "learning_rate"},
      {"min_learning_rate", "min_lr"},
      {"seq_len", "sequence_length"},
      {"seq_length", "sequence_length"},
      {"max_seq_len", "sequence_length"},
      {"block_size", "sequence_length"},
      {"context_length", "sequence_length"},
      {"max_length", "sequence_length"},
      {"max_steps", "steps"},
      {"num_steps", "steps"},
      {"max_iters", "steps"},
      {"train_iters", "steps"},
      {"iterations", "steps"},
      {"num_epochs", "epochs"},
      {"num_train_epochs", "epochs"},
      {"max_epochs", "epochs"},
      {"num_tokens", "tokens"},
      {"max_tokens", "tokens"},
      {"batch_size", "global_batch_size"},
      {"train_batch_size", "global_batch_size"},
      {"gradient_accumulation_steps", "global_batch_size"},
      {"accumulate_grad_batches", "global_batch_size"},
      {"per_device_train_batch_size", "micro_batch_size"},
      {"micro_batch", "micro_batch_size"},
      {"warmup", "warmup_steps"},
      {"warmup_iters", "warmup_steps"},
      {"num_warmup_steps", "warmup_steps"},
      {"grad_clip", "max_grad_norm"},
      {"clip_grad", "max_grad_norm"},
      {"gradient_clip_val", "max_grad_norm"},
      {"scheduler", "lr_scheduler"},
      {"lr_scheduler_type", "lr_scheduler"},
      {"precision", "dtype"},
      {"gradient_checkpointing", "activation_checkpoint"},
      {"recompute", "activation_checkpoint"},
      {"random_seed", "seed"},
      {"num_layers", "layers"},
      {"n_layer", "layers"},
      {"n_layers", "layers"},
      {"num_hidden_layers", "layers"},
      {"hidden_size", "dim"},
      {"d_model", "dim"},
      {"n_embd", "dim"},
      {"n_head", "heads"},
      {"n_heads", "heads"},
      {"num_heads", "heads"},
      {"num_attention_heads", "heads"},
      {"num_key_value_heads", "kv_heads"},
      {"n_kv_heads", "kv_heads"},
      {"intermediate_size", "ffn_dim"},
      {"ffn_hidden_size", "ffn_dim"},
      {"d_ff", "ffn_dim"},
      {"vocab_size", "vocab"},
      {"tie_word_embeddings", "tied_embeddings"},
      {"rms_norm_eps", "norm_eps"},
      {"initializer_range", "init_std"},
      {"gpus", "ranks"},
      {"num_gpus", "ranks"},
      {"nproc_per_node", "ranks"},
      {"world_size", "ranks"},
      {"workers", "ranks"},
      {"replicas", "ranks"},
      {"type", "kind"},
      {"nodeSelector", "node_selector"},
      {"eval_steps", "every_steps"},
      {"eval_interval", "every_steps"},
      {"save_steps", "every_steps"},
      {"interval", "every_steps"},
      {"save_total_limit", "keep_last"},
      {"eval", "validation"},
      {"max_retries", "retries"},
      {"timeout", "time"},
      {"dataset", "data"},
      {"validation", "valid"}};
  return *aliases;
}

}  // namespace

std::string Nearest(absl::string_view word, const std::vector<std::string>& candidates) {
  const auto alias = Aliases().find(std::string(word));
  if (alias != Aliases().end() &&
      std::find(candidates.begin(), candidates.end(), alias->second) != candidates.end()) {
    return alias->second;
  }
  std::string best;
  int best_distance = std::max<int>(2, static_cast<int>(word.size()) / 3) + 1;
  for (const std::string& candidate : candidates) {
    const int distance = EditDistance(word, candidate);
    if (distance < best_distance && distance < static_cast<int>(candidate.size())) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace cherry
