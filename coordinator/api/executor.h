// The one thread that steps the core, and the rule that nothing leaves before it is durable.
//
// Inputs queue up from any thread. The executor takes all that wait, lets the core decide each, writes their
// changes in one synced batch (group commit), and only then releases replies and actions, in order. A failed
// sync ends the process: nobody may be told of what could be lost.
#ifndef CHERRY_COORDINATOR_API_EXECUTOR_H_
#define CHERRY_COORDINATOR_API_EXECUTOR_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/clock.h"
#include "coordinator/core/core.h"
#include "coordinator/core/decision.h"
#include "coordinator/store/store.h"

namespace cherry::coordinator {

// Receives what decisions cause, on the executor's thread, after their sync. Must not block.
class ActionSink {
 public:
  virtual ~ActionSink() = default;
  virtual void OnAction(const Action& action) = 0;
  // New events are readable in the store.
  virtual void OnEvents() = 0;
};

// Thread-safe but for Step and Start, which belong to one thread.
class Executor {
 public:
  // Called after the sync; may post again. Must not block.
  using Release = std::function<void()>;
  // Runs on the core; returns what to release.
  using Input = std::function<Release(Core* core, Decision* decision)>;

  // Borrows all of them.
  Executor(Core* core, Store* store, Clock* clock, ActionSink* sink);
  ~Executor();

  // Restores the core from the store. Call before anything else.
  absl::Status Restore();

  void Start();
  // Answers what is queued, then stops the thread. Later posts are dropped.
  void Stop();

  void Post(Input input);

  // More waits than can be answered soon: callers that can come again should.
  bool overloaded() const { return overloaded_; }

  // Seconds each decision took. Set before Start.
  void set_decision_observer(std::function<void(double)> observer) {
    decision_observer_ = std::move(observer);
  }

  // A decision with a reply. `done` is called once, after the sync, on the executor's thread.
  template <typename Reply>
  void Call(std::function<absl::StatusOr<Reply>(Core*, Decision*)> decide,
            std::function<void(absl::StatusOr<Reply>)> done) {
    Post([this, decide = std::move(decide), done = std::move(done)](Core* core,
                                                                    Decision* decision) -> Release {
      absl::StatusOr<Reply> reply = decide(core, decision);
      return [this, done, reply = std::move(reply), stored = decision->stored_reply]() mutable {
        // Only mutations have stored replies, and those are messages.
        if constexpr (std::is_base_of_v<google::protobuf::MessageLite, Reply>) {
          if (reply.ok() && !stored.empty()) {
            reply = Stored<Reply>(stored);
          }
        }
        done(std::move(reply));
      };
    });
  }

  // Decides everything queued and due, and releases it. For tests, instead of Start. True if there was
  // anything.
  bool Step();

  // Core time: never below what the store has seen.
  absl::Time Now();

 private:
  void Run();
  void Decide(const Input& input, std::vector<Changes>* group, std::vector<RecordSamples>* samples,
              std::vector<Action>* actions, std::vector<Release>* releases);
  void CommitGroup(const std::vector<Changes>& group, const std::vector<RecordSamples>& samples);
  absl::StatusOr<std::string> StoredReply(const std::string& request_id);

  template <typename Reply>
  absl::StatusOr<Reply> Stored(const std::string& request_id) {
    absl::StatusOr<std::string> bytes = StoredReply(request_id);
    if (!bytes.ok()) {
      return bytes.status();
    }
    Reply reply;
    if (!reply.ParseFromString(*bytes)) {
      return absl::DataLossError("a stored reply cannot be read");
    }
    return reply;
  }

  Core* const core_;
  Store* const store_;
  Clock* const clock_;
  ActionSink* const sink_;
  std::function<void(double)> decision_observer_ = [](double) {};
  std::atomic<bool> overloaded_{false};
  absl::Duration ahead_;  // Of the stored time before the clock, after it was set back.

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Input> queue_;  // Guarded by mutex_.
  bool stopping_ = false;    // Guarded by mutex_.
  std::thread thread_;
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_EXECUTOR_H_
