#include "worker/trainer/inputs.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/hf_config.h"
#include "common/log.h"
#include "common/manifest.h"
#include "common/spec.h"
#include "common/status.h"
#include "worker/checkpoint/load.h"
#include "worker/parallel/agreement.h"
#include "worker/trainer/batches.h"
#include "worker/trainer/recorded.h"
#include "worker/trainer/state_copy.h"

namespace cherry::trainer {
namespace {

class RecordedModels final : public InputModels {
 public:
  RecordedModels(WorkerChannel* channel, Gang* gang, const Device& device, const SplitMixture* train)
      : channel_(channel), gang_(gang), device_(device), train_(train) {}

  absl::Status LoadInto(absl::string_view role, LanguageModel* model) override {
    ASSIGN_OR_RETURN(const std::string directory, Find(role));
    return LoadFrom(directory, model);
  }

  absl::StatusOr<std::unique_ptr<LanguageModel>> LoadModel(absl::string_view role) override {
    ASSIGN_OR_RETURN(const std::string directory, Find(role));
    ASSIGN_OR_RETURN(const std::string config, ReadFile(absl::StrCat(directory, "/", kConfigFile)));
    ASSIGN_OR_RETURN(const ModelShape shape, ParseHfConfig(config));
    ModelOptions options = OptionsOf(channel_->start().attempt().spec().train(), device_.torch);
    options.frozen = true;
    std::unique_ptr<LanguageModel> model = MakeLanguageModel(shape, options, /*seed=*/0);
    RETURN_IF_ERROR(LoadFrom(directory, model.get()));
    return model;
  }

  absl::StatusOr<size_t> PartOf(absl::string_view role) override {
    ASSIGN_OR_RETURN(const std::string directory, Find(role));
    ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(directory));
    const std::string part = SplitParts(manifest.spec.data().train()).front();
    for (size_t i = 0; i < train_->parts(); ++i) {
      if (train_->part_name(i) == part) {
        return i;
      }
    }
    return InvalidField("DATA_MISSING", "data.train",
                        absl::StrCat("data.train: has no part ", part, ", which ", role, " was trained on"),
                        "add it, or use fuse.router_start: normal");
  }

  void Alive() override { channel_->SendPhase(v1::PhaseReport::LOADING, 0); }

  absl::StatusOr<double> OfRankZero(double value) override {
    RETURN_IF_ERROR(gang_->control->Broadcast(absl::MakeSpan(reinterpret_cast<char*>(&value), sizeof(value)),
                                              /*root=*/0));
    return value;
  }

  absl::StatusOr<Batch> Calibration(int64_t index, size_t part) override {
    const v1::JobSpec& spec = channel_->start().attempt().spec();
    const int64_t first = train_->first_window(part);
    const int64_t size = train_->first_window(part + 1) - first;
    std::vector<int64_t> windows;
    for (int64_t i = 0; i < spec.train().micro_batch_size(); ++i) {
      windows.push_back(first + (index * spec.train().micro_batch_size() + i) % size);
    }
    return ReadBatch(*train_, windows, windows, CountedOf(spec.data()), device_.torch);
  }

 private:
  absl::Status LoadFrom(const std::string& directory, LanguageModel* model) {
    HostState state = MakeHostState(model->parameters(), /*moments=*/false);
    RETURN_IF_ERROR(AgreeOn(LoadStartWeights(directory, &state), gang_->checkpoint.get()));
    CopyFromHost(state, &model->parameters(), nullptr);
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Find(absl::string_view role) {
    for (const v1::JobInput& input : channel_->start().attempt().inputs()) {
      if (input.role() == role) {
        RETURN_IF_ERROR(AgreeOn(Check(role, input.checkpoint()), gang_->checkpoint.get()));
        return DirectoryOf(channel_->start(), input.checkpoint());
      }
    }
    return absl::InternalError(absl::StrCat("the attempt names no input '", role, "'"));
  }

  absl::Status Check(absl::string_view role, const v1::Checkpoint& checkpoint) {
    if (gang_->rank != 0) {
      return absl::OkStatus();
    }
    const v1::StartRank& start = channel_->start();
    RETURN_IF_ERROR(CheckRoot(start));
    channel_->SendPhase(v1::PhaseReport::LOADING, 0);  // Another one, which may be large.
    absl::Status sound = VerifyRecorded(start, checkpoint);
    if (sound.ok()) {
      LogInfo(absl::StrCat(role, ": ", checkpoint.name()));
      return sound;
    }
    if (!IsCorrupt(sound)) {
      return Unreadable(checkpoint, sound);
    }
    const bool goes_on = start.attempt().spec().has_continue_();
    const std::string field = role != "origin" ? std::string(role) : goes_on ? "continue" : "from";
    return Error(sound.code(), "CHECKPOINT_CORRUPT", field,
                 absl::StrCat(field, ": checkpoint ", checkpoint.name(), " is not sound: ", sound.message()),
                 "name another checkpoint of that job");
  }

  WorkerChannel* const channel_;
  Gang* const gang_;
  const Device device_;
  const SplitMixture* const train_;
};

}  // namespace

std::unique_ptr<InputModels> MakeInputModels(WorkerChannel* channel, Gang* gang, const Device& device,
                                             const SplitMixture* train) {
  return std::make_unique<RecordedModels>(channel, gang, device, train);
}

}  // namespace cherry::trainer
