// Core::Restore: from records to state, after a restart.
#include <algorithm>

#include "coordinator/core/checkpoints.h"
#include "coordinator/core/core.h"
#include "coordinator/core/machines.h"
#include "coordinator/core/models.h"
#include "coordinator/core/placement.h"

namespace cherry::coordinator {
namespace {

void RestoreJobs(State* state, const Records& records) {
  for (const v1::JobRecord& record : records.jobs) {
    JobEntry& entry = state->jobs[record.job().uid()];
    entry.record = record;
    entry.shape = PlacementShape(record.job().resolved());
    state->by_arrival[record.arrival()] = entry.uid();
  }
  for (const v1::Checkpoint& checkpoint : records.checkpoints) {
    if (JobEntry* entry = FindJob(state, checkpoint.job_uid())) {
      entry->checkpoints[{checkpoint.step(), checkpoint.epoch()}] = checkpoint;
    }
  }
  // A name belongs to the newest job of that name: an older one had ended before the newer was let in.
  for (const auto& [arrival, uid] : state->by_arrival) {
    const JobEntry& entry = state->jobs.at(uid);
    state->by_name[entry.job().name()] = uid;
    Reindex(state, entry);
  }
}

void RestorePipelines(State* state, const Records& records) {
  for (const v1::PipelineRecord& record : records.pipelines) {
    state->pipelines[record.pipeline().uid()] = record;
    std::string& newest = state->pipeline_by_name[record.pipeline().name()];
    if (newest.empty() || state->pipelines.at(newest).arrival() < record.arrival()) {
      newest = record.pipeline().uid();
    }
  }
}

// Nobody has been heard since the start: silence is counted from now.
void RestoreWorkers(State* state, absl::Time now, const Records& records) {
  for (const v1::WorkerRecord& record : records.workers) {
    WorkerEntry& worker = state->workers[record.worker().name()];
    worker.record = record;
    worker.last_seen = now;
  }
  for (const std::string& uid : state->active) {
    const v1::Attempt& attempt = *state->jobs.at(uid).live_attempt();
    for (const v1::RankPlacement& rank : attempt.ranks()) {
      WorkerEntry* worker = FindWorker(state, rank.worker());
      if (worker != nullptr && rank.state() != v1::RankPlacement::EXITED) {
        worker->occupants[rank.slot()] = {uid, attempt.epoch()};
      }
    }
  }
}

void RestoreRequests(State* state, const Records& records) {
  for (const v1::RequestRecord& record : records.requests) {
    state->requests[record.request_id()] = {record.content_hash(), FromProto(record.time())};
    state->request_times.push_back({FromProto(record.time()), record.request_id()});
  }
  std::sort(state->request_times.begin(), state->request_times.end());
}

// Removals that the earlier process had decided but perhaps not finished.
void ResumeRemovals(State* state, Decision* decision) {
  for (auto& [uid, entry] : state->jobs) {
    for (const auto& [key, checkpoint] : entry.checkpoints) {
      if (checkpoint.state() == v1::Checkpoint::DELETED) {
        decision->actions.push_back(RemoveCheckpoint{{uid, key.first, key.second}, checkpoint.path()});
      }
    }
    for (const int64_t epoch : entry.record.uncollected_epochs()) {
      CollectOrphans(decision, &entry, epoch);
    }
  }
}

}  // namespace

void Core::Restore(Decision* decision, const Records& records) {
  state_.cluster = records.cluster;
  for (const v1::Dataset& dataset : records.datasets) {
    state_.datasets[dataset.name()] = dataset;
  }
  RestoreJobs(&state_, records);
  RestoreModels(&state_, records.models);
  RestorePipelines(&state_, records);
  RestoreWorkers(&state_, decision->now, records);
  RestoreRequests(&state_, records);
  ResumeRemovals(&state_, decision);
  decision->dirty_queue = true;
}

}  // namespace cherry::coordinator
