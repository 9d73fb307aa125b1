#include "client/cli/job_file_names.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "cherry/v1/job.pb.h"
#include "common/nearest.h"

namespace cherry::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// What other tools call our keys. A key that is ours at another level is found without this table.
const std::map<std::string, std::string>& OtherNames() {
  static const auto* const names = new std::map<std::string, std::string>{
      {"lr", "train.optimizer.learning_rate"},
      {"max_lr", "train.optimizer.learning_rate"},
      {"peak_lr", "train.optimizer.learning_rate"},
      {"base_lr", "train.optimizer.learning_rate"},
      {"beta1", "train.optimizer.betas"},
      {"beta2", "train.optimizer.betas"},
      {"adam_beta1", "train.optimizer.betas"},
      {"adam_beta2", "train.optimizer.betas"},
      {"epsilon", "train.optimizer.eps"},
      {"adam_eps", "train.optimizer.eps"},
      {"adam_epsilon", "train.optimizer.eps"},
      {"wd", "train.optimizer.weight_decay"},
      {"grad_clip", "train.optimizer.max_grad_norm"},
      {"clip_grad", "train.optimizer.max_grad_norm"},
      {"clip_grad_norm", "train.optimizer.max_grad_norm"},
      {"gradient_clipping", "train.optimizer.max_grad_norm"},
      {"gradient_clip_val", "train.optimizer.max_grad_norm"},
      {"max_norm", "train.optimizer.max_grad_norm"},
      {"lr_min", "train.lr_scheduler.min_lr"},
      {"min_learning_rate", "train.lr_scheduler.min_lr"},
      {"warmup", "train.lr_scheduler.warmup_steps"},
      {"warmup_iters", "train.lr_scheduler.warmup_steps"},
      {"num_warmup_steps", "train.lr_scheduler.warmup_steps"},
      {"lr_warmup_steps", "train.lr_scheduler.warmup_steps"},
      {"scheduler", "train.lr_scheduler"},
      {"lr_schedule", "train.lr_scheduler"},
      {"lr_scheduler_type", "train.lr_scheduler.type"},
      {"lr_decay_style", "train.lr_scheduler.type"},
      {"seq_len", "train.sequence_length"},
      {"seq_length", "train.sequence_length"},
      {"max_seq_len", "train.sequence_length"},
      {"max_seq_length", "train.sequence_length"},
      {"max_sequence_length", "train.sequence_length"},
      {"context_length", "train.sequence_length"},
      {"block_size", "train.sequence_length"},
      {"n_ctx", "train.sequence_length"},
      {"max_position_embeddings", "train.sequence_length"},
      {"max_steps", "train.steps"},
      {"num_steps", "train.steps"},
      {"train_steps", "train.steps"},
      {"training_steps", "train.steps"},
      {"total_steps", "train.steps"},
      {"train_iters", "train.steps"},
      {"max_iters", "train.steps"},
      {"iterations", "train.steps"},
      {"batch_size", "train.global_batch_size"},
      {"batch", "train.global_batch_size"},
      {"train_batch_size", "train.global_batch_size"},
      {"total_batch_size", "train.global_batch_size"},
      {"per_device_train_batch_size", "train.micro_batch_size"},
      {"per_device_batch_size", "train.micro_batch_size"},
      {"train_micro_batch_size_per_gpu", "train.micro_batch_size"},
      {"local_batch_size", "train.micro_batch_size"},
      {"precision", "train.dtype"},
      {"mixed_precision", "train.dtype"},
      {"bf16", "train.dtype"},
      {"fp16", "train.dtype"},
      {"amp", "train.dtype"},
      {"gradient_checkpointing", "train.activation_checkpoint"},
      {"activation_checkpointing", "train.activation_checkpoint"},
      {"recompute", "train.activation_checkpoint"},
      {"random_seed", "train.seed"},
      {"num_layers", "model.layers"},
      {"n_layer", "model.layers"},
      {"n_layers", "model.layers"},
      {"num_hidden_layers", "model.layers"},
      {"hidden_size", "model.dim"},
      {"hidden_dim", "model.dim"},
      {"d_model", "model.dim"},
      {"n_embd", "model.dim"},
      {"embed_dim", "model.dim"},
      {"num_heads", "model.heads"},
      {"n_head", "model.heads"},
      {"n_heads", "model.heads"},
      {"num_attention_heads", "model.heads"},
      {"n_kv_heads", "model.kv_heads"},
      {"num_kv_heads", "model.kv_heads"},
      {"num_key_value_heads", "model.kv_heads"},
      {"num_query_groups", "model.kv_heads"},
      {"intermediate_size", "model.ffn_dim"},
      {"ffn_hidden_size", "model.ffn_dim"},
      {"d_ff", "model.ffn_dim"},
      {"vocab_size", "model.vocab"},
      {"n_vocab", "model.vocab"},
      {"tie_word_embeddings", "model.tied_embeddings"},
      {"tie_embeddings", "model.tied_embeddings"},
      {"rms_norm_eps", "model.norm_eps"},
      {"layer_norm_eps", "model.norm_eps"},
      {"rope_base", "model.rope_theta"},
      {"initializer_range", "model.init_std"},
      {"eval_steps", "validation.every_steps"},
      {"eval_interval", "validation.every_steps"},
      {"eval_every", "validation.every_steps"},
      {"save_steps", "checkpoint.every_steps"},
      {"save_interval", "checkpoint.every_steps"},
      {"save_every", "checkpoint.every_steps"},
      {"checkpoint_interval", "checkpoint.every_steps"},
      {"save_total_limit", "checkpoint.keep_last"},
      {"max_retries", "limits.retries"},
      {"backoff_limit", "limits.retries"},
      {"max_failures", "limits.retries"},
      {"timeout", "limits.time"},
      {"time_limit", "limits.time"},
      {"walltime", "limits.time"},
      {"gpus", "resources.ranks"},
      {"num_gpus", "resources.ranks"},
      {"nproc", "resources.ranks"},
      {"nproc_per_node", "resources.ranks_per_host"},
      {"num_processes", "resources.ranks"},
      {"world_size", "resources.ranks"},
      {"ntasks", "resources.ranks"},
      {"replicas", "resources.ranks"},
      {"gpus_per_node", "resources.ranks_per_host"},
      {"ranks_per_node", "resources.ranks_per_host"},
      {"accelerator", "resources.device"},
      {"dataset", "data.train"},
      {"data_path", "data.train"},
      {"train_data", "data.train"},
      {"eval_data", "data.valid"},
      {"valid_data", "data.valid"},
      {"validation_data", "data.valid"},
      {"base_model", "from"},
      {"init_from", "from"},
      {"parent", "from"},
      {"resume", "continue"},
      {"resume_from", "continue"},
      {"resume_from_checkpoint", "continue"},
      {"job_name", "name"},
      {"title", "name"},
      {"type", "kind"},
      {"mtp", "multi_token"},
  };
  return *names;
}

// Keys that have no counterpart of their own, and what to do instead.
const std::map<std::string, std::string>& OtherWays() {
  static const auto* const ways = new std::map<std::string, std::string>{
      {"gradient_accumulation_steps",
       "give train.global_batch_size: accumulation is global_batch_size / (micro_batch_size * ranks)"},
      {"grad_accum",
       "give train.global_batch_size: accumulation is global_batch_size / (micro_batch_size * ranks)"},
      {"accumulate_grad_batches",
       "give train.global_batch_size: accumulation is global_batch_size / (micro_batch_size * ranks)"},
      {"nodes", "give resources.ranks, and resources.ranks_per_host where hosts must share them"},
      {"num_nodes", "give resources.ranks, and resources.ranks_per_host where hosts must share them"},
      {"warmup_ratio", "give train.lr_scheduler.warmup_steps, a number of steps"},
      {"dropout", "remove it: Cherry's models have no dropout"},
      {"tokenizer", "remove it: the tokenizer comes with the dataset (`cherry data prepare`)"},
      {"output_dir", "remove it: checkpoints go to the cluster's own root (`cherry get checkpoints`)"},
      {"<<", "write the keys out: merge keys are not supported"},
  };
  return *ways;
}

// "globalBatchSize" and "global-batch-size" as "global_batch_size".
std::string SnakeCase(absl::string_view key) {
  std::string out;
  for (size_t i = 0; i < key.size(); ++i) {
    const char c = key[i];
    if (absl::ascii_isupper(c)) {
      if (i > 0 && absl::ascii_islower(key[i - 1])) {
        out.push_back('_');
      }
      out.push_back(absl::ascii_tolower(c));
    } else {
      out.push_back(c == '-' ? '_' : c);
    }
  }
  return out;
}

std::string Join(absl::string_view parent, absl::string_view key) {
  return parent.empty() ? std::string(key) : absl::StrCat(parent, ".", key);
}

bool IsOurMessage(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field.is_map() && !field.is_repeated() &&
         absl::StartsWith(field.message_type()->full_name(), "cherry.v1.");
}

void CollectPaths(const Descriptor& type, const std::string& prefix, std::vector<std::string>* paths) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (IsOutputOnly(field)) {
      continue;
    }
    const std::string path = Join(prefix, field.name());
    paths->push_back(path);
    // The inside of `from`, `reference`, ... is the same everywhere and would only make names ambiguous.
    if (IsOurMessage(field) && field.message_type() != v1::SourceRef::descriptor() &&
        field.message_type() != v1::Matrix::descriptor()) {
      CollectPaths(*field.message_type(), path, paths);
    }
  }
}

const std::vector<std::string>& AllPaths() {
  static const auto* const paths = [] {
    auto* all = new std::vector<std::string>;
    CollectPaths(*v1::JobSpec::descriptor(), "", all);
    return all;
  }();
  return *paths;
}

std::vector<std::string> KeysOf(const Descriptor& type) {
  std::vector<std::string> keys;
  for (int i = 0; i < type.field_count(); ++i) {
    if (!IsOutputOnly(*type.field(i))) {
      keys.emplace_back(type.field(i)->name());
    }
  }
  return keys;
}

absl::string_view LastPart(absl::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == absl::string_view::npos ? path : path.substr(dot + 1);
}

// Paths whose last part is `key`, those that share most of `parent_path` first.
std::vector<std::string> PathsEndingIn(absl::string_view key, absl::string_view parent_path) {
  std::vector<std::string> found;
  for (const std::string& path : AllPaths()) {
    if (LastPart(path) == key) {
      found.push_back(path);
    }
  }
  std::stable_sort(found.begin(), found.end(), [parent_path](const std::string& a, const std::string& b) {
    const auto below = [parent_path](const std::string& path) {
      return !parent_path.empty() && absl::StartsWith(path, absl::StrCat(parent_path, "."));
    };
    return below(a) && !below(b);
  });
  return found;
}

// Long garbage is near nothing and would only cost time.
std::string NearestShort(absl::string_view word, const std::vector<std::string>& candidates) {
  return word.size() > 64 ? "" : Nearest(word, candidates);
}

}  // namespace

bool IsOutputOnly(const FieldDescriptor& field) {
  const Descriptor* const type = field.containing_type();
  return (type == v1::SourceRef::descriptor() && field.name() == "job_uid") ||
         (type == v1::ModelConfig::descriptor() &&
          (field.name() == "token_chain" || field.name() == "positions" || field.name() == "begin_token" ||
           field.name() == "end_tokens")) ||
         (type == v1::EvaluateConfig::descriptor() &&
          (field.name() == "baselines" || field.name() == "starts"));
}

std::vector<std::string> EnumValues(const google::protobuf::EnumDescriptor& type) {
  std::vector<std::string> values;
  for (int i = 0; i < type.value_count(); ++i) {
    if (!absl::EndsWith(type.value(i)->name(), "_UNSPECIFIED")) {
      values.push_back(absl::AsciiStrToLower(type.value(i)->name()));
    }
  }
  return values;
}

std::string SuggestKey(const Descriptor& parent, absl::string_view parent_path, absl::string_view key) {
  const std::string snake = SnakeCase(key.substr(0, 80));
  if (parent.FindFieldByName(snake) != nullptr && snake != key &&
      !IsOutputOnly(*parent.FindFieldByName(snake))) {
    return absl::StrCat("use ", Join(parent_path, snake));
  }
  if (const auto way = OtherWays().find(snake); way != OtherWays().end()) {
    return way->second;
  }
  const std::vector<std::string> keys = KeysOf(parent);
  const bool in_source = &parent == v1::SourceRef::descriptor();
  if (!in_source) {
    if (const auto name = OtherNames().find(snake); name != OtherNames().end()) {
      // A shape key of `compress` is meant where it stands, not in `model`.
      const std::string last(LastPart(name->second));
      return absl::StrCat("use ",
                          parent.FindFieldByName(last) != nullptr ? Join(parent_path, last) : name->second);
    }
    if (const std::vector<std::string> elsewhere = PathsEndingIn(snake, parent_path); !elsewhere.empty()) {
      return absl::StrCat("use ", elsewhere.front());
    }
  }
  if (const std::string near = NearestShort(snake, keys); !near.empty()) {
    return absl::StrCat("use ", Join(parent_path, near));
  }
  // Further away only for words that are too long to be near by chance.
  if (!in_source && snake.size() > 5) {
    std::vector<std::string> last_parts;
    for (const std::string& path : AllPaths()) {
      last_parts.emplace_back(LastPart(path));
    }
    if (const std::string near = NearestShort(snake, last_parts); !near.empty()) {
      return absl::StrCat("use ", PathsEndingIn(near, parent_path).front());
    }
  }
  return absl::StrCat("the keys here are ", absl::StrJoin(keys, ", "));
}

}  // namespace cherry::client
