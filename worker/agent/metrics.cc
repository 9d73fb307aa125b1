#include "worker/agent/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <exception>
#include <map>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status.h"
#include "worker/agent/metrics_names.h"

namespace cherry::worker {
namespace {

using Labels = std::map<std::string, std::string>;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

Histogram::BucketBoundaries SecondsBuckets() {
  return {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60};
}

// A job's series, from its first step on this worker to its end.
struct JobSeries {
  Labels labels;
  Gauge* step = nullptr;
  // Made when the first value is there, by what it shows: 0 would be a lie.
  std::map<std::string, std::pair<Family<Gauge>*, Gauge*>> late;
  Gauge* flops_ratio = nullptr;
  Counter* tokens = nullptr;
  Counter* supervised_tokens = nullptr;
  Counter* checkpoint_stall = nullptr;
  Histogram* step_seconds = nullptr;
  int64_t tokens_seen = 0;
};

// Sets a gauge that is made when its first value comes; `labels` beside those of the job.
void SetLate(JobSeries* series, const std::string& what, Family<Gauge>* family, Labels labels, double value) {
  auto& [owner, gauge] = series->late[what];
  if (gauge == nullptr) {
    labels.insert(series->labels.begin(), series->labels.end());
    owner = family;
    gauge = &family->Add(labels);
  }
  gauge->Set(value);
}

}  // namespace

struct Metrics::State {
  explicit State(const std::vector<v1::Slot>& all_slots) {
    for (const v1::Slot& slot : all_slots) {
      gpu_uuids[slot.index()] = slot.gpu_uuid();
    }
  }

  Family<Gauge>* AddGauge(const char* name, const char* help) {
    return &prometheus::BuildGauge().Name(name).Help(help).Register(*registry);
  }
  Family<Counter>* AddCounter(const char* name, const char* help) {
    return &prometheus::BuildCounter().Name(name).Help(help).Register(*registry);
  }
  Family<Histogram>* AddHistogram(const char* name, const char* help) {
    return &prometheus::BuildHistogram().Name(name).Help(help).Register(*registry);
  }

  JobSeries* SeriesOf(const AttemptKey& key, const v1::StartAttempt& attempt);
  void Remove(const AttemptKey& key);
  void SetSample(const v1::MetricSample& sample, JobSeries* series);

  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  Family<Gauge>* step = AddGauge(kJobStep, "Optimizer steps done");
  Family<Gauge>* loss = AddGauge(kJobLoss, "Loss in nats per token, by split");
  Family<Gauge>* flops_ratio = AddGauge(kJobModelFlopsRatio, "Model FLOPs by the device's peak");
  Family<Gauge>* gradient_norm = AddGauge(kJobGradientNorm, "Norm of the gradient before clipping");
  Family<Gauge>* coupling =
      AddGauge(kJobGradientCoupling, "How the gradients of supervised and other targets pull together");
  Family<Gauge>* wave =
      AddGauge(kJobWave, "Gain on all held-out tokens by the gain on selected ones and their share");
  Family<Gauge>* recovery =
      AddGauge(kJobRecovery, "Part of the loss that compression cost and training has made good");
  Family<Gauge>* expert_load =
      AddGauge(kJobExpertLoad, "Choices of an expert by the mean over experts; highest: of any router");
  Family<Gauge>* router_entropy = AddGauge(kJobRouterEntropy, "Entropy of the routers in nats");
  Family<Gauge>* draft_acceptance =
      AddGauge(kJobDraftAcceptance, "Drafted tokens that the model would have said itself, by position");
  Family<Gauge>* last_checkpoint =
      AddGauge(kJobLastCheckpointTimestamp, "When the newest checkpoint was committed");
  Family<Counter>* tokens = AddCounter(kJobTokensTotal, "Tokens trained on by this attempt");
  Family<Counter>* supervised =
      AddCounter(kJobSupervisedTokensTotal, "Tokens that the loss was taken on, by this attempt");
  Family<Counter>* checkpoint_stall =
      AddCounter(kJobCheckpointStallSeconds, "Time that training stood still for checkpoints");
  Family<Histogram>* step_seconds = AddHistogram(kJobStepSeconds, "Time of an optimizer step");
  Family<Histogram>* phase_seconds =
      AddHistogram(kRankPhaseSeconds, "Time per step and rank of this worker, by phase");
  Family<Gauge>* slot_info = AddGauge(kSlotInfo, "1 for each slot; job_name is empty while it is free");
  Family<Gauge>* root_free = AddGauge(kRootFreeBytes, "Free bytes beneath a root");
  Family<Gauge>* root_size = AddGauge(kRootSizeBytes, "Bytes of a root's file system");
  Family<Gauge>* expiry = AddGauge(kCertificateExpiryTimestamp, "When the worker's TLS certificate ends");

  std::mutex mutex;
  // Protected by mutex:
  std::map<AttemptKey, JobSeries> jobs;
  std::map<int, std::string> gpu_uuids;
  std::map<int, Gauge*> slots;

  std::unique_ptr<prometheus::Exposer> exposer;  // Last, so that it goes first.
};

JobSeries* Metrics::State::SeriesOf(const AttemptKey& key, const v1::StartAttempt& attempt) {
  const auto known = jobs.find(key);
  if (known != jobs.end()) {
    return &known->second;
  }
  const Labels labels = {{"job_name", attempt.job_name()}, {"job_namespace", attempt.namespace_()}};
  // Attempts with the same labels have the same series: only the one that speaks may own them.
  for (const auto& [other, series] : jobs) {
    if (series.labels == labels) {
      Remove(AttemptKey(other));
      break;
    }
  }
  JobSeries& series = jobs[key];
  series.labels = labels;
  series.step = &step->Add(labels);
  series.flops_ratio = &flops_ratio->Add(labels);
  series.tokens = &tokens->Add(labels);
  series.supervised_tokens = &supervised->Add(labels);
  series.checkpoint_stall = &checkpoint_stall->Add(labels);
  series.step_seconds = &step_seconds->Add(labels, SecondsBuckets());
  if (attempt.resume_size() > 0) {  // Saves may fail from the first on: the one it goes on from grows old.
    SetLate(&series, "last_checkpoint", last_checkpoint, {},
            static_cast<double>(attempt.resume(0).create_time().seconds()));
  }
  return &series;
}

// The recorded series that are metrics too. What a method names in them is a small fixed set.
void Metrics::State::SetSample(const v1::MetricSample& sample, JobSeries* series) {
  absl::string_view name = sample.name();
  if (name == "gradient_norm") {
    SetLate(series, sample.name(), gradient_norm, {}, sample.value());
  } else if (name == "wave") {
    SetLate(series, sample.name(), wave, {}, sample.value());
  } else if (name == "recovery/merge") {
    SetLate(series, sample.name(), recovery, {}, sample.value());
  } else if (name == "router_entropy") {
    SetLate(series, sample.name(), router_entropy, {}, sample.value());
  } else if (absl::ConsumePrefix(&name, "expert_load/")) {
    SetLate(series, sample.name(), expert_load, {{"expert", std::string(name)}}, sample.value());
  } else if (absl::ConsumePrefix(&name, "draft_acceptance/")) {
    SetLate(series, sample.name(), draft_acceptance, {{"position", std::string(name)}}, sample.value());
  } else if (absl::ConsumePrefix(&name, "loss/valid/")) {
    SetLate(series, sample.name(), loss, {{"split", absl::StrCat("valid_", name)}}, sample.value());
  } else if (absl::ConsumePrefix(&name, "coupling/")) {
    SetLate(series, sample.name(), coupling, {{"measure", std::string(name)}}, sample.value());
  }
}

void Metrics::State::Remove(const AttemptKey& key) {
  const auto found = jobs.find(key);
  if (found == jobs.end()) {
    return;
  }
  const JobSeries& series = found->second;
  step->Remove(series.step);
  flops_ratio->Remove(series.flops_ratio);
  for (const auto& [what, made] : series.late) {
    made.first->Remove(made.second);
  }
  tokens->Remove(series.tokens);
  supervised->Remove(series.supervised_tokens);
  checkpoint_stall->Remove(series.checkpoint_stall);
  step_seconds->Remove(series.step_seconds);
  jobs.erase(found);
}

absl::StatusOr<std::unique_ptr<Metrics>> Metrics::Create(const Endpoint& address,
                                                         const std::vector<v1::Slot>& slots) {
  auto state = std::make_unique<State>(slots);
  Endpoint bound = address;
  try {
    state->exposer = std::make_unique<prometheus::Exposer>(address.ToString(), 1);
    const std::vector<int> ports = state->exposer->GetListeningPorts();
    bound.port = ports.empty() ? address.port : ports.front();
  } catch (const std::exception&) {
    return Error(absl::StatusCode::kUnavailable, "PORT_TAKEN", "--metrics-address",
                 absl::StrCat("--metrics-address: cannot listen on ", address.ToString()),
                 "another process has the port: give --metrics-address another one");
  }
  state->exposer->RegisterCollectable(state->registry);
  std::unique_ptr<Metrics> metrics(new Metrics(std::move(state), std::move(bound)));
  for (const v1::Slot& slot : slots) {
    metrics->OnSlot(slot.index(), "");
  }
  return metrics;
}

Metrics::Metrics(std::unique_ptr<State> state, Endpoint address)
    : state_(std::move(state)), address_(std::move(address)) {}

Metrics::~Metrics() = default;

void Metrics::OnSlot(int slot, absl::string_view job_name) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  Gauge*& info = state_->slots[slot];
  if (info != nullptr) {
    state_->slot_info->Remove(info);
  }
  info = &state_->slot_info->Add({{"slot", absl::StrCat(slot)},
                                  {"gpu_uuid", state_->gpu_uuids[slot]},
                                  {"job_name", std::string(job_name)}});
  info->Set(1);
}

void Metrics::OnStep(const RankKey& key, const v1::StartAttempt& attempt, const v1::StepReport& step) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  const std::pair<const char*, double> phases[] = {
      {"data", step.phases().data()},           {"forward", step.phases().forward()},
      {"backward", step.phases().backward()},   {"reduce", step.phases().reduce()},
      {"optimizer", step.phases().optimizer()}, {"checkpoint", step.phases().checkpoint()}};
  for (const auto& [phase, seconds] : phases) {
    state_->phase_seconds->Add({{"phase", phase}}, SecondsBuckets()).Observe(seconds);
  }
  if (key.rank != 0) {
    return;
  }
  JobSeries* const series = state_->SeriesOf(key.attempt, attempt);
  const v1::Progress& progress = step.progress();
  series->step->Set(static_cast<double>(step.step()));
  series->step_seconds->Observe(step.step_seconds());
  series->flops_ratio->Set(step.model_flops_ratio());
  series->checkpoint_stall->Increment(step.checkpoint_stall_seconds());
  series->supervised_tokens->Increment(static_cast<double>(step.supervised_tokens()));
  // The job's tokens count on over its attempts; the counter begins at the first that this worker sees.
  if (progress.tokens() > series->tokens_seen) {
    series->tokens->Increment(static_cast<double>(progress.tokens() - series->tokens_seen));
    series->tokens_seen = progress.tokens();
  }
  if (progress.has_loss()) {
    SetLate(series, "loss/train", state_->loss, {{"split", "train"}}, progress.loss());
  }
  if (progress.has_valid_loss()) {
    SetLate(series, "loss/valid", state_->loss, {{"split", "valid"}}, progress.valid_loss());
  }
  for (const v1::MetricSample& sample : step.samples()) {
    state_->SetSample(sample, series);
  }
}

void Metrics::OnCommitted(const AttemptKey& attempt, absl::Time now) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  const auto found = state_->jobs.find(attempt);
  if (found != state_->jobs.end()) {
    JobSeries& series = found->second;
    SetLate(&series, "last_checkpoint", state_->last_checkpoint, {},
            absl::ToDoubleSeconds(now - absl::UnixEpoch()));
  }
}

void Metrics::OnAttemptGone(const AttemptKey& attempt) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->Remove(attempt);
}

void Metrics::SetRoots(const std::vector<v1::Root>& roots) {
  for (const v1::Root& root : roots) {
    state_->root_free->Add({{"root", root.kind()}}).Set(static_cast<double>(root.free_bytes()));
    state_->root_size->Add({{"root", root.kind()}}).Set(static_cast<double>(root.size_bytes()));
  }
}

void Metrics::SetCertificateExpiry(absl::Time expiry) {
  state_->expiry->Add({}).Set(absl::ToDoubleSeconds(expiry - absl::UnixEpoch()));
}

std::string Metrics::Page() const {
  return prometheus::TextSerializer().Serialize(state_->registry->Collect());
}

}  // namespace cherry::worker
