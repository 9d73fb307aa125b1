#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/model_plan.h"
#include "common/schedule.h"
#include "common/spec_checks.h"
#include "common/spec_kinds.h"
#include "common/status.h"

namespace cherry {
namespace {

constexpr int32_t kUsualLoraRank = 8;

// Of a loss that looks at states, where so much depth goes that predictions alone recover it badly.
constexpr int64_t kDeepCut = 4;

absl::Status CheckLayers(const v1::CompressConfig& compress, const ModelShape& parent) {
  const std::string field = "compress.layers";
  if (compress.layers() == 0) {
    return InvalidField(
        "FIELD_REQUIRED", field, absl::StrCat(field, ": is not given"),
        absl::StrCat("give 1 to ", parent.layers, ", the layers of the model it starts from"));
  }
  if (compress.layers() < 0 || compress.layers() > parent.layers) {
    return InvalidField(
        "OUT_OF_RANGE", field,
        absl::StrCat(field, ": ", compress.layers(), " groups cannot be made of ", parent.layers, " layers"),
        absl::StrCat("give 1 to ", parent.layers));
  }
  if (compress.ends() == v1::CompressConfig::KEEP && compress.layers() < 3 &&
      compress.layers() < parent.layers) {
    return InvalidField("OUT_OF_RANGE", field,
                        absl::StrCat(field, ": ", compress.layers(),
                                     " layers leave nothing between the two ends that are kept"),
                        "give at least 3, or ends: merge");
  }
  return absl::OkStatus();
}

int64_t MostRounds(const std::vector<Visit>& visits) {
  int64_t most = 1;
  for (const Visit& visit : visits) {
    most = std::max(most, visit.rounds);
  }
  return most;
}

absl::Status ResolveLora(const ModelShape& parent, int64_t most_rounds, v1::UnrollConfig* unroll) {
  const bool starts = unroll->start() == v1::UnrollConfig::LORA;
  if (starts && unroll->has_lora_rank() && unroll->lora_rank() == 0) {
    return InvalidField("OUT_OF_RANGE", "compress.unroll.lora_rank",
                        "compress.unroll.lora_rank: 0 leaves start: lora nothing to start",
                        "give 1 or more, or use start: lowest, identity or flow");
  }
  if (starts && !unroll->has_lora_rank()) {
    unroll->set_lora_rank(static_cast<int32_t>(std::min<int64_t>(kUsualLoraRank, parent.most_lora_rank())));
  }
  RETURN_IF_ERROR(CheckInteger("compress.unroll.lora_rank", unroll->lora_rank(), 0, parent.most_lora_rank()));
  if (unroll->lora_rank() != 0 && most_rounds == 1) {
    const char* const field = starts ? "compress.unroll.start" : "compress.unroll.lora_rank";
    return InvalidField(
        "FIELD_NOT_ALLOWED", field,
        absl::StrCat(field, ": low-rank products belong to the visits of loops, and the schedule has none"),
        "give compress.unroll.schedule a loop, e.g. 1 + 4x8 + 1, or leave it out");
  }
  return absl::OkStatus();
}

absl::Status ResolveUnroll(const ModelShape& parent, int64_t layers, v1::UnrollConfig* unroll) {
  ASSIGN_OR_RETURN(const std::vector<Visit> visits, ParseSchedule(unroll->schedule(), layers));
  RETURN_IF_ERROR(ResolveLora(parent, MostRounds(visits), unroll));
  const std::string field = "compress.unroll.growth";
  const std::string given = absl::StrCat("[", absl::StrJoin(unroll->growth(), ", "), "]");
  int64_t before = 0;
  for (const int64_t rounds : unroll->growth()) {
    if (rounds <= before) {
      return OutOfRange(field, given, "rising numbers from 1");
    }
    before = rounds;
  }
  if (before > 0 && before != MostRounds(visits)) {
    return InvalidField("OUT_OF_RANGE", field,
                        absl::StrCat(field, ": ", given, " does not end with the ", MostRounds(visits),
                                     " rounds of the schedule"),
                        absl::StrCat("let its last number be ", MostRounds(visits)));
  }
  return absl::OkStatus();
}

absl::Status ResolveRecover(const ModelShape& parent, int64_t layers, v1::RecoverConfig* recover) {
  if (!recover->has_alpha()) recover->set_alpha(0.5);
  if (!recover->has_temperature()) recover->set_temperature(1.0);
  if (!recover->has_hidden_weight())
    recover->set_hidden_weight(parent.layers >= kDeepCut * layers ? 1.0 : 0.0);
  if (!(recover->alpha() >= 0.0 && recover->alpha() <= 1.0)) {
    return OutOfRange("compress.recover.alpha", absl::StrCat(recover->alpha()), "[0, 1]");
  }
  if (!(recover->temperature() > 0.0 && recover->temperature() <= 100.0)) {
    return OutOfRange("compress.recover.temperature", absl::StrCat(recover->temperature()), "(0, 100]");
  }
  return CheckReal("compress.recover.hidden_weight", recover->hidden_weight(), 0.0, 1e6);
}

}  // namespace

absl::Status ResolveCompress(const SpecContext& context, v1::JobSpec* spec) {
  v1::CompressConfig* const compress = spec->mutable_compress();
  const int64_t vocab = context.train.front()->vocab();
  ASSIGN_OR_RETURN(const ModelShape parent, ResolveModel(*context.parent_model, vocab));
  RETURN_IF_ERROR(CheckLayers(*compress, parent));
  if (!parent.schedule.empty()) {
    return InvalidField("MODEL_MISMATCH", "from",
                        absl::StrCat("from: the model has loops already (", parent.schedule, ")"),
                        "compress the model it was made of");
  }
  RETURN_IF_ERROR(ResolveUnroll(parent, compress->layers(), compress->mutable_unroll()));
  RETURN_IF_ERROR(ResolveRecover(parent, compress->layers(), compress->mutable_recover()));
  if (parent.experts > 0) {
    return InvalidField("MODEL_MISMATCH", "from", "from: the model is a mixture of experts",
                        "compress the models that it was made of");
  }
  ModelShape made = parent;
  made.token_chain = false;
  made.layers = compress->layers();
  made.schedule = compress->unroll().schedule();
  made.serveable = compress->unroll().serveable();
  made.lora_rank = compress->unroll().lora_rank();
  *spec->mutable_model() = ToConfig(made);
  return absl::OkStatus();
}

}  // namespace cherry
