// A cluster without processes: the real core, a clock set by hand, and every record it writes.
#ifndef CHERRY_TESTS_UNIT_COORDINATOR_SIMULATION_H_
#define CHERRY_TESTS_UNIT_COORDINATOR_SIMULATION_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/core/core.h"
#include "coordinator/core/machines.h"

namespace cherry::coordinator {

// Keeps what a store would: the newest version of each record.
struct Disk {
  std::map<std::string, v1::JobRecord> jobs;
  std::map<std::tuple<std::string, int64_t, int64_t>, v1::Checkpoint> checkpoints;
  std::map<std::string, v1::WorkerRecord> workers;
  std::map<std::string, v1::Dataset> datasets;
  std::map<std::string, v1::PipelineRecord> pipelines;
  std::map<std::string, v1::Model> models;
  std::map<std::string, v1::RequestRecord> requests;
  std::vector<v1::Event> events;
  v1::ClusterRecord cluster;

  void Write(const Changes& changes) {
    if (changes.empty()) {
      return;
    }
    for (const auto& record : changes.put_jobs) jobs[record.job().uid()] = record;
    for (const auto& c : changes.put_checkpoints) checkpoints[{c.job_uid(), c.step(), c.epoch()}] = c;
    for (const auto& key : changes.delete_checkpoints) checkpoints.erase({key.uid, key.step, key.epoch});
    for (const auto& record : changes.put_workers) workers[record.worker().name()] = record;
    for (const auto& name : changes.delete_workers) workers.erase(name);
    for (const auto& dataset : changes.put_datasets) datasets[dataset.name()] = dataset;
    for (const auto& record : changes.put_pipelines) pipelines[record.pipeline().uid()] = record;
    for (const auto& model : changes.put_models) models[model.uid()] = model;
    for (const auto& record : changes.put_requests) requests[record.request_id()] = record;
    for (const auto& id : changes.delete_requests) requests.erase(id);
    events.insert(events.end(), changes.put_events.begin(), changes.put_events.end());
    cluster = changes.cluster;
  }

  Records Read() const {
    Records records;
    records.cluster = cluster;
    for (const auto& [key, record] : jobs) records.jobs.push_back(record);
    for (const auto& [key, record] : checkpoints) records.checkpoints.push_back(record);
    for (const auto& [key, record] : workers) records.workers.push_back(record);
    for (const auto& [key, record] : datasets) records.datasets.push_back(record);
    for (const auto& [key, record] : pipelines) records.pipelines.push_back(record);
    for (const auto& [key, model] : models) records.models.push_back(model);
    for (const auto& [key, record] : requests) records.requests.push_back(record);
    return records;
  }
};

inline v1::JobSpec PretrainSpec(const std::string& name, int ranks) {
  v1::JobSpec spec;
  spec.set_kind(v1::JobSpec::PRETRAIN);
  spec.set_name(name);
  spec.mutable_resources()->mutable_ranks()->set_min(ranks);
  spec.mutable_resources()->mutable_ranks()->set_max(ranks);
  spec.mutable_model()->set_preset("tiny");
  spec.mutable_data()->set_train("ko/train");
  spec.mutable_data()->set_valid("ko/valid");
  spec.mutable_train()->set_steps(300);
  spec.mutable_train()->set_global_batch_size(64);
  spec.mutable_train()->set_micro_batch_size(1);
  return spec;
}

class Simulation : public ::testing::Test {
 protected:
  Simulation() {
    config_.data_root_id = "data-root";
    config_.checkpoint_root_id = "checkpoint-root";
    Restart();
    AddDataset();
  }

  // Runs one decision and keeps what it leaves.
  template <typename Decide>
  auto Do(const Decide& decide) {
    Decision decision;
    decision.now = now_;
    auto result = decide(&decision);
    core_->Finish(&decision);
    last_ = decision;
    disk_.Write(decision.changes);
    for (const Action& action : decision.actions) {
      actions_.push_back(action);
    }
    return result;
  }

  // A new process over the same disk.
  void Restart() {
    core_ = std::make_unique<Core>(config_);
    Do([this](Decision* decision) {
      core_->Restore(decision, disk_.Read());
      return 0;
    });
  }

  void Advance(absl::Duration duration) { now_ += duration; }
  void Tick() {
    Do([this](Decision* decision) {
      core_->Tick(decision);
      return 0;
    });
  }
  void AdvanceAndTick(absl::Duration duration) {
    Advance(duration);
    Tick();
  }

  void AddDataset() {
    v1::RegisterDatasetRequest request;
    v1::Dataset* dataset = request.mutable_dataset();
    dataset->set_name("ko");
    dataset->set_path("ko");
    dataset->set_vocab(2048);
    dataset->set_bytes_per_token(2);
    for (const char* name : {"train", "valid"}) {
      v1::Split* split = dataset->add_splits();
      split->set_name(name);
      split->set_tokens(1'000'000);
      split->set_documents(1000);
    }
    ASSERT_TRUE(Do([&](Decision* decision) {
                  return core_->RegisterDataset(decision, NewMutation("RegisterDataset"), request);
                }).ok());
  }

  Mutation NewMutation(const std::string& method, const std::string& content = "") {
    return {{"kim", true}, method, absl::StrCat("request-", ++requests_), content};
  }

  absl::StatusOr<v1::Job> TrySubmit(const v1::JobSpec& spec) {
    v1::SubmitJobRequest request;
    *request.mutable_spec() = spec;
    const NewJobIds ids{absl::StrCat("uid-", ++uids_), "abcde"};
    auto response = Do([&](Decision* decision) {
      return core_->SubmitJob(decision, NewMutation("SubmitJob"), request, ids);
    });
    if (!response.ok()) {
      return response.status();
    }
    return response->job();
  }
  std::string Submit(const v1::JobSpec& spec) {
    const auto job = TrySubmit(spec);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? job->uid() : "";
  }

  v1::Register Hello(const std::string& name, int slots, const std::string& incarnation = "i1") {
    v1::Register hello;
    hello.set_name(name);
    hello.set_incarnation(incarnation);
    hello.set_api_major(1);
    for (int i = 0; i < slots; ++i) {
      v1::Slot* slot = hello.add_slots();
      slot->set_index(i);
      slot->set_device(v1::Resources::CPU);
    }
    for (const auto& [kind, id] :
         {std::pair{"data", "data-root"}, std::pair{"checkpoints", "checkpoint-root"}}) {
      v1::Root* root = hello.add_roots();
      root->set_kind(kind);
      root->set_id(id);
    }
    return hello;
  }
  absl::Status Register(const v1::Register& hello) {
    const int64_t connection = ++connections_;
    const absl::Status status =
        Do([&](Decision* decision) { return core_->RegisterWorker(decision, connection, hello); });
    if (status.ok()) {
      connection_of_[hello.name()] = connection;
    }
    return status;
  }
  void AddWorker(const std::string& name, int slots, const std::string& incarnation = "i1") {
    ASSERT_TRUE(Register(Hello(name, slots, incarnation)).ok());
  }

  absl::Status SetWorkerState(const std::string& name, v1::Worker::State state) {
    v1::SetWorkerStateRequest request;
    request.set_name(name);
    request.set_state(state);
    return Do([&](Decision* decision) {
             return core_->SetWorkerState(decision, NewMutation("SetWorkerState"), request);
           })
        .status();
  }

  void Say(const std::string& worker, const v1::WorkerMessage& message) {
    Do([&](Decision* decision) {
      core_->HandleWorkerMessage(decision, connection_of_[worker], worker, message);
      return 0;
    });
  }
  v1::AttemptRef Ref(const std::string& uid, int64_t epoch = 0) {
    v1::AttemptRef ref;
    ref.set_job_uid(uid);
    ref.set_epoch(epoch == 0 ? Job(uid).epoch() : epoch);
    return ref;
  }
  void Beat(const std::string& worker, const std::vector<v1::AttemptRef>& attempts = {}) {
    v1::WorkerMessage message;
    *message.mutable_heartbeat()->mutable_roots() = Hello(worker, 0).roots();
    for (const v1::AttemptRef& ref : attempts) {
      *message.mutable_heartbeat()->add_attempts() = ref;
    }
    Say(worker, message);
  }
  void Started(const std::string& uid) {
    const v1::Attempt attempt = Newest(uid);
    for (const v1::RankPlacement& rank : attempt.ranks()) {
      v1::WorkerMessage message;
      message.set_sequence(++sequence_);
      *message.mutable_rank_started()->mutable_attempt() = Ref(uid);
      message.mutable_rank_started()->set_rank(rank.rank());
      Say(rank.worker(), message);
    }
  }
  void Progress(const std::string& uid, int64_t step) {
    v1::WorkerMessage message;
    *message.mutable_progress()->mutable_attempt() = Ref(uid);
    message.mutable_progress()->mutable_progress()->set_step(step);
    message.mutable_progress()->mutable_progress()->set_total_steps(300);
    Say(Newest(uid).ranks(0).worker(), message);
  }
  void Commit(const std::string& uid, int64_t step, std::optional<double> valid_loss = std::nullopt,
              int64_t epoch = 0) {
    v1::WorkerMessage message;
    message.set_sequence(++sequence_);
    v1::CheckpointReport* report = message.mutable_checkpoint();
    *report->mutable_attempt() = Ref(uid, epoch);
    report->mutable_checkpoint()->set_step(step);
    report->mutable_checkpoint()->set_path(
        absl::StrCat("default/", uid, "/epoch-", report->attempt().epoch(), "/step-", step));
    if (valid_loss.has_value()) {
      report->mutable_checkpoint()->set_valid_loss(*valid_loss);
    }
    report->set_final(step == 300);
    Say(Newest(uid).ranks(0).worker(), message);
  }
  void Exit(const std::string& uid, int rank, v1::Cause cause, int exit_code = 0,
            const std::string& text = "", const v1::Evaluation& evaluation = {}) {
    v1::WorkerMessage message;
    message.set_sequence(++sequence_);
    v1::RankExited* exited = message.mutable_rank_exited();
    *exited->mutable_attempt() = Ref(uid);
    exited->set_rank(rank);
    exited->set_cause(cause);
    exited->mutable_failure()->set_exit_code(exit_code);
    exited->mutable_failure()->set_message(text);
    if (evaluation.models_size() > 0) {
      *exited->mutable_evaluation() = evaluation;
    }
    Say(Newest(uid).ranks(rank).worker(), message);
  }
  void ExitAll(const std::string& uid, v1::Cause cause) {
    const int ranks = Newest(uid).ranks_size();
    for (int rank = 0; rank < ranks; ++rank) {
      if (Newest(uid).ranks(rank).state() != v1::RankPlacement::EXITED) {
        Exit(uid, rank, cause);
      }
    }
  }
  // From placed to stepping.
  void RunTo(const std::string& uid, int64_t step) {
    Started(uid);
    Progress(uid, step);
  }

  absl::StatusOr<v1::Job> TryCancel(const std::string& uid, bool now = false) {
    v1::CancelJobRequest request;
    request.set_name(Job(uid).name());
    request.set_now(now);
    return Do(
        [&](Decision* decision) { return core_->CancelJob(decision, NewMutation("CancelJob"), request); });
  }
  absl::StatusOr<v1::Job> TryPause(const std::string& uid) {
    v1::PauseJobRequest request;
    request.set_name(Job(uid).name());
    return Do(
        [&](Decision* decision) { return core_->PauseJob(decision, NewMutation("PauseJob"), request); });
  }
  absl::StatusOr<v1::Job> TryResume(const std::string& uid) {
    v1::ResumeJobRequest request;
    request.set_name(Job(uid).name());
    return Do(
        [&](Decision* decision) { return core_->ResumeJob(decision, NewMutation("ResumeJob"), request); });
  }

  v1::Job Job(const std::string& uid) {
    const auto job = core_->GetJobByUid(uid);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *job : v1::Job();
  }
  v1::Job::State StateOf(const std::string& uid) { return Job(uid).state(); }
  v1::Attempt Newest(const std::string& uid) {
    const v1::Job job = Job(uid);
    return job.attempts().empty() ? v1::Attempt() : *job.attempts().rbegin();
  }

  // Takes all actions of one type since the last call.
  template <typename T>
  std::vector<T> Take() {
    std::vector<T> taken;
    std::vector<Action> rest;
    for (Action& action : actions_) {
      if (T* it = std::get_if<T>(&action)) {
        taken.push_back(*it);
      } else {
        rest.push_back(action);
      }
    }
    actions_ = std::move(rest);
    return taken;
  }
  // Messages to one worker with this body.
  std::vector<v1::CoordinatorMessage> Sent(const std::string& worker, v1::CoordinatorMessage::BodyCase body) {
    std::vector<v1::CoordinatorMessage> found;
    for (const SendToWorker& send : Take<SendToWorker>()) {
      if (send.worker == worker && send.message.body_case() == body) {
        found.push_back(send.message);
      }
    }
    return found;
  }
  int CountEvents(const std::string& type) const {
    int count = 0;
    for (const v1::Event& event : disk_.events) {
      count += event.type() == type ? 1 : 0;
    }
    return count;
  }
  // Nothing illegal was ever tried.
  void TearDown() override { EXPECT_EQ(CountEvents("IllegalTransition"), 0); }

  Config config_;
  Disk disk_;
  std::unique_ptr<Core> core_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  std::vector<Action> actions_;
  Decision last_;
  int requests_ = 0;
  int uids_ = 0;
  int64_t connections_ = 0;
  int64_t sequence_ = 0;
  std::map<std::string, int64_t> connection_of_;
};

}  // namespace cherry::coordinator

#endif  // CHERRY_TESTS_UNIT_COORDINATOR_SIMULATION_H_
