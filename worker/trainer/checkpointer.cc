#include "worker/trainer/checkpointer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/file.h"
#include "common/hf_config.h"
#include "common/log.h"
#include "common/manifest.h"
#include "common/status.h"
#include "worker/trainer/process.h"
#include "worker/trainer/state_copy.h"

namespace cherry::trainer {
namespace {

// Data that was not prepared by Cherry may come without a tokenizer.
std::string TokenizerDirectory(const v1::StartRank& start) {
  return absl::StrCat(start.data_root(), "/", start.attempt().datasets(0).path());
}

}  // namespace

Checkpointer::Checkpointer(WorkerChannel* channel, const ModelShape& shape, const Device& device,
                           HostState buffers)
    : channel_(channel),
      device_(device),
      config_(HfConfig(shape, channel->start().attempt().spec().train().sequence_length())),
      tokenizer_(TokenizerDirectory(channel->start())) {
  if (channel->start().rank() == 0) {
    saver_ = std::make_unique<Saver>(
        std::move(buffers),
        [this](const SaveRequest& request, const SavedCheckpoint& saved) { return Report(request, saved); });
  }
}

Manifest Checkpointer::MakeManifest(const RunState& run) const {
  const v1::StartRank& start = channel_->start();
  const v1::StartAttempt& attempt = start.attempt();
  Manifest manifest;
  manifest.job_uid = attempt.attempt().job_uid();
  manifest.job_name = attempt.job_name();
  manifest.epoch = attempt.attempt().epoch();
  manifest.step = run.step;
  manifest.tokens = run.tokens;
  manifest.target_tokens = run.target_tokens;
  manifest.supervised_tokens = run.supervised_tokens;
  manifest.sample_cursor = run.sample_cursor;
  manifest.world_size = attempt.world_size();
  manifest.threads_per_rank = device_.threads;
  manifest.deterministic = attempt.spec().train().deterministic();
  manifest.processor = device_.processor;
  manifest.code_version = start.code_version();
  manifest.loss = run.loss;
  manifest.valid_loss = run.valid_loss;
  manifest.spec = attempt.spec();
  manifest.parent = run.parent;
  return manifest;
}

double Checkpointer::Save(const RunState& run, const Parameters& parameters, const AdamW& optimizer,
                          bool final) {
  if (saver_ == nullptr) {
    return 0.0;
  }
  const absl::Time begin = absl::Now();
  CopyToHost(parameters, optimizer, saver_->AcquireState());
  SaveRequest request;
  request.root = channel_->start().checkpoint_root();
  request.directory = StepDirectory(channel_->start().attempt().checkpoint_directory(), run.step);
  request.config = config_;
  request.tokenizer = tokenizer_;
  request.manifest = MakeManifest(run);
  last_step_ = run.step;
  final_step_ = final ? run.step : -1;
  saver_->Start(std::move(request));
  return absl::ToDoubleSeconds(absl::Now() - begin);
}

absl::Status Checkpointer::Report(const SaveRequest& request, const SavedCheckpoint& saved) {
  const Manifest& manifest = request.manifest;
  v1::FromTrainer message;
  v1::CheckpointReport* report = message.mutable_checkpoint();
  report->mutable_attempt()->set_job_uid(manifest.job_uid);
  report->mutable_attempt()->set_epoch(manifest.epoch);
  report->set_final(manifest.step == final_step_);
  v1::Checkpoint* checkpoint = report->mutable_checkpoint();
  checkpoint->set_name(absl::StrCat(manifest.job_name, "/checkpoints/", manifest.step));
  checkpoint->set_job_uid(manifest.job_uid);
  checkpoint->set_step(manifest.step);
  checkpoint->set_epoch(manifest.epoch);
  checkpoint->set_path(request.directory);
  checkpoint->set_bytes(saved.bytes);
  checkpoint->set_manifest_hash(saved.manifest_hash);
  if (manifest.loss.has_value()) {
    checkpoint->set_loss(*manifest.loss);
  }
  if (manifest.valid_loss.has_value()) {
    checkpoint->set_valid_loss(*manifest.valid_loss);
  }
  checkpoint->mutable_create_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
  checkpoint->set_sample_cursor(manifest.sample_cursor);
  channel_->Send(message);
  LogInfo(absl::StrCat("saved the checkpoint of step ", manifest.step, ": ", saved.bytes, " bytes in ",
                       request.directory));
  return absl::OkStatus();
}

absl::Status Checkpointer::status() const { return saver_ == nullptr ? absl::OkStatus() : saver_->status(); }

absl::Status Checkpointer::Finish() {
  if (saver_ == nullptr) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(saver_->Flush());
  if (last_step_ >= 0) {
    channel_->AwaitCommitted(last_step_);
  }
  return absl::OkStatus();
}

}  // namespace cherry::trainer
