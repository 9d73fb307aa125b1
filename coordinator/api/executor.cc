#include "coordinator/api/executor.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"

namespace cherry::coordinator {
namespace {

// Bounds the size of a batch and the time until the first of a group is answered.
constexpr size_t kMostInGroup = 1024;
constexpr size_t kMostQueued = 20000;
// Decides nothing: the group then only ticks.
constexpr absl::Duration kLongestWait = absl::Seconds(60);

}  // namespace

Executor::Executor(Core* core, Store* store, Clock* clock, ActionSink* sink)
    : core_(core), store_(store), clock_(clock), sink_(sink) {}

Executor::~Executor() { Stop(); }

absl::Status Executor::Restore() {
  ASSIGN_OR_RETURN(const Records records, store_->Load());
  ahead_ = std::max(absl::ZeroDuration(), absl::FromUnixNanos(records.cluster.wall_nanos()) - clock_->Now());
  Post([this, records](Core* core, Decision* decision) -> Release {
    core->Restore(decision, records);
    return [] {};
  });
  Step();
  return absl::OkStatus();
}

void Executor::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Executor::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Executor::Post(Input input) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) {
      return;
    }
    queue_.push_back(std::move(input));
    overloaded_ = queue_.size() > kMostQueued;
  }
  wake_.notify_one();
}

absl::Time Executor::Now() { return clock_->Now() + ahead_; }

void Executor::Run() {
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      const absl::Duration wait =
          std::clamp(core_->NextDeadline() - Now(), absl::ZeroDuration(), kLongestWait);
      wake_.wait_for(lock, absl::ToChronoNanoseconds(wait), [this] { return stopping_ || !queue_.empty(); });
      if (stopping_ && queue_.empty()) {
        return;
      }
    }
    Step();
  }
}

bool Executor::Step() {
  std::deque<Input> inputs;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (!queue_.empty() && inputs.size() < kMostInGroup) {
      inputs.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    overloaded_ = queue_.size() > kMostQueued;
  }
  const bool due = core_->NextDeadline() <= Now();
  if (inputs.empty() && !due) {
    return false;
  }
  std::vector<Changes> group;
  std::vector<RecordSamples> samples;
  std::vector<Action> actions;
  std::vector<Release> releases;
  // What has been heard counts before what time brings: a message that waited here may renew a lease.
  for (const Input& input : inputs) {
    Decide(input, &group, &samples, &actions, &releases);
  }
  if (due) {
    Decide(
        [](Core* core, Decision* decision) -> Release {
          core->Tick(decision);
          return [] {};
        },
        &group, &samples, &actions, &releases);
  }
  CommitGroup(group, samples);
  for (const Action& action : actions) {
    sink_->OnAction(action);
  }
  for (const Release& release : releases) {
    release();
  }
  for (const Changes& changes : group) {
    if (!changes.put_events.empty()) {
      sink_->OnEvents();
      break;
    }
  }
  return true;
}

void Executor::Decide(const Input& input, std::vector<Changes>* group, std::vector<RecordSamples>* samples,
                      std::vector<Action>* actions, std::vector<Release>* releases) {
  Decision decision;
  decision.now = Now();
  releases->push_back(input(core_, &decision));
  core_->Finish(&decision);
  decision_observer_(absl::ToDoubleSeconds(Now() - decision.now));
  if (!decision.changes.empty()) {
    group->push_back(std::move(decision.changes));
  }
  for (Action& action : decision.actions) {
    if (auto* record = std::get_if<RecordSamples>(&action)) {
      samples->push_back(std::move(*record));
    } else {
      actions->push_back(std::move(action));
    }
  }
}

void Executor::CommitGroup(const std::vector<Changes>& group, const std::vector<RecordSamples>& samples) {
  absl::Status status = absl::OkStatus();
  if (!samples.empty()) {
    status = store_->AppendSamples(samples);  // Before the synced write, which takes them along.
  }
  if (status.ok() && !group.empty()) {
    status = store_->Commit(group);
  }
  if (!status.ok()) {
    LogError(absl::StrCat("cannot write the store, giving up before anything is told: ", Describe(status)));
    std::abort();
  }
}

absl::StatusOr<std::string> Executor::StoredReply(const std::string& request_id) {
  return store_->ReadReply(request_id);
}

}  // namespace cherry::coordinator
